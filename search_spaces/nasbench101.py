"""NAS-Bench-101: cells of up to seven vertices (Ying et al., 2019, arXiv 1902.09635, section 2).

Vertices carry the operations, the first is the input of a cell and the last its output. Three stacks of equal cells;
between stacks the image is halved by max pooling and the channels double.
"""

import itertools
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from nasengine.architecture import Architecture
from nasengine.errors import GenotypeError
from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import NetworkConfig
from search_spaces.pieces import classifier, conv_norm

if TYPE_CHECKING:
    from nasengine.network import GraphNetwork

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
MAX_VERTICES, MAX_EDGES, NUM_STACKS = 7, 9, 3
MAX_TEXT_LENGTH, MAX_TRIES = 1_000, 10_000
_EXAMPLE = "conv3x3-bn-relu,maxpool3x3:0-1,1-2,0-3,2-3"
_EDGE = re.compile(r"(\d)-(\d)")
Edges = frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class VertexCell:
    """A cell as a directed graph.

    The numbering of its vertices is part of it: where channels do not divide evenly, the first vertices get one more,
    so that isomorphic cells can differ in a few parameters. ``canonical`` gives one numbering for all of them.

    Args:
        operations: of the inner vertices 1, 2, ...
        edges: (source, target), sorted; every vertex lies on a path from input 0 to output ``len(operations) + 1``.
    """

    operations: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, operations: Sequence[str], edges: Edges) -> "VertexCell":
        """A cell without the vertices that lie on no path from input to output.

        Raises:
            GenotypeError: operations, vertices or edges outside the space, or no path from input to output.
        """
        _check(operations, edges)
        return _pruned(operations, edges)

    @classmethod
    def of_matrix(cls, matrix: Sequence[Sequence[int]], operations: Sequence[str]) -> "VertexCell":
        """From an adjacency matrix and the operations of all vertices, as the benchmark's files have them."""
        size = len(matrix)
        edges = frozenset((i, j) for i, j in itertools.product(range(size), repeat=2) if matrix[i][j])
        return cls.of(list(operations)[1:-1], edges)

    @property
    def output(self) -> int:
        """Number of the output vertex."""
        return len(self.operations) + 1

    def canonical(self) -> "VertexCell":
        """The isomorphic cell whose numbering sorts first."""
        return _canonical(self)

    def sources(self, target: int) -> list[int]:
        """Vertices that feed a vertex."""
        return [source for source, end in self.edges if end == target]


@dataclass(frozen=True)
class NasBench101:
    """Implements the SearchSpace protocol."""

    name: str = "nasbench101"
    title: str = "NAS-Bench-101 cells, up to 7 vertices and 9 edges"
    paper: str = "Ying et al., 2019, arXiv 1902.09635"
    size: int = 423_624
    defaults: NetworkConfig = field(default=NetworkConfig(channels=128, cells=3))

    def sample(self, rng: random.Random) -> Architecture:
        """Draw edges and operations of seven vertices until they form a cell, as the benchmark's authors do."""
        pairs = list(itertools.combinations(range(MAX_VERTICES), 2))
        for _ in range(MAX_TRIES):
            edges = frozenset(pair for pair in pairs if rng.random() < 0.5)
            operations = [rng.choice(OPERATIONS) for _ in range(MAX_VERTICES - 2)]
            found = _cell_or_none(operations, edges)
            if found is not None:
                return Architecture(self.name, found)
        raise GenotypeError(f"space {self.name}: expected a valid cell among {MAX_TRIES} draws, got none")

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """A neighbour: another operation, an edge more or less, or a vertex more."""
        cell = self._cell(architecture)
        for _ in range(MAX_TRIES):
            child = _cell_or_none(*_changed(cell, rng))
            if child is not None and child != cell.canonical():
                return Architecture(self.name, child)
        raise GenotypeError(f"space {self.name}: expected a neighbour among {MAX_TRIES} changes, got none")

    def crossover(self, first: Architecture, second: Architecture, rng: random.Random) -> Architecture:
        """A child that has every operation and edge from one of its parents; the first parent where none is valid."""
        one, other = _padded(self._cell(first)), _padded(self._cell(second))
        for _ in range(MAX_VERTICES):
            operations = [rng.choice(pair) for pair in zip(one[0], other[0], strict=True)]
            edges = frozenset(edge for edge in one[1] | other[1] if edge in rng.choice((one[1], other[1])))
            child = _cell_or_none(operations, edges)
            if child is not None:
                return Architecture(self.name, child)
        return first

    def validate(self, architecture: Architecture) -> None:
        """Raise GenotypeError unless the architecture belongs to this space."""
        cell = self._cell(architecture)
        _check(cell.operations, frozenset(cell.edges))
        if _pruned(cell.operations, frozenset(cell.edges)) != cell:
            raise GenotypeError("nasbench101 genotype: expected every vertex on a path; use VertexCell.of")

    def parse(self, text: str) -> Architecture:
        """Read ``operation,...:source-target,...``; operations are those of vertices 1, 2, ...

        The benchmark's own form, adjacency matrix and operations of all vertices as JSON, is read as well.

        >>> NASBENCH101.format(NASBENCH101.parse("maxpool3x3:0-1,1-2"))
        'maxpool3x3:0-1,1-2'
        >>> NASBENCH101.format(NASBENCH101.parse('[[0,1,0],[0,0,1],[0,0,0]] ["input","maxpool3x3","output"]'))
        'maxpool3x3:0-1,1-2'
        """
        if text.lstrip().startswith("["):
            return Architecture(self.name, _cell_of_json(text))
        head, colon, tail = text.strip().partition(":")
        matches = [_EDGE.fullmatch(item.strip()) for item in tail.split(",")]
        if len(text) > MAX_TEXT_LENGTH or not colon or not all(matches):
            raise GenotypeError(f"nasbench101 genotype: expected a text such as {_EXAMPLE}, got {text[:80]!r}")
        operations = [name.strip() for name in head.split(",")] if head else []
        edges = frozenset((int(match[1]), int(match[2])) for match in matches if match)
        return Architecture(self.name, VertexCell.of(operations, edges))

    def format(self, architecture: Architecture) -> str:
        """Write a cell as ``parse`` reads it."""
        cell = self._cell(architecture)
        return ",".join(cell.operations) + ":" + ",".join(f"{source}-{target}" for source, target in cell.edges)

    def to_graph(self, architecture: Architecture, config: NetworkConfig) -> ComputationGraph:
        """Computation graph of an architecture; ``config.cells`` is the number of cells in each stack."""
        cell = self._cell(architecture)
        builder = GraphBuilder()
        channels = config.channels
        last = conv_norm(builder, builder.input(config.image_shape), "stem", channels, 3, activation="relu")
        for stack in range(NUM_STACKS):
            if stack > 0:
                channels *= 2
                last = builder.add("max_pool", last, name=f"stacks/{stack}/pool", kernel=2, stride=2)
            for index in range(config.cells):
                last = _add_cell(builder, last, cell, channels, f"stacks/{stack}/cells/{index}")
        return builder.build(classifier(builder, last, config.num_classes))

    def build(self, architecture: Architecture, config: NetworkConfig, seed: int = 0) -> "GraphNetwork":
        """A trainable network of an architecture; ``seed`` gives its initial weights."""
        from nasengine.network import GraphNetwork  # only here torch is needed

        return GraphNetwork(self.to_graph(architecture, config), seed)

    def _cell(self, architecture: Architecture) -> VertexCell:
        if architecture.space != self.name or not isinstance(architecture.genotype, VertexCell):
            raise GenotypeError(
                f"space {self.name}: expected one of its architectures, got one of {architecture.space}"
            )
        return architecture.genotype


# --- cells --------------------------------------------------------------------------------------------------------


def _check(operations: Sequence[str], edges: Edges) -> None:
    where, output = "nasbench101 genotype", len(operations) + 1
    if output >= MAX_VERTICES:
        raise GenotypeError(f"{where}: expected at most {MAX_VERTICES} vertices, got {output + 1}")
    unknown = [name for name in operations if name not in OPERATIONS]
    if unknown:
        raise GenotypeError(f"{where}: expected operations among {', '.join(OPERATIONS)}, got {unknown[0][:40]!r}")
    wrong = [(source, target) for source, target in sorted(edges) if not 0 <= source < target <= output]
    if wrong:
        raise GenotypeError(
            f"{where}: expected edges from lower to higher vertices of 0 to {output}, got {wrong[0][0]}-{wrong[0][1]}"
        )
    if len(edges) > MAX_EDGES:
        raise GenotypeError(f"{where}: expected at most {MAX_EDGES} edges, got {len(edges)}")
    if not _on_paths(edges, output):
        raise GenotypeError(f"{where}: expected a path from vertex 0 to vertex {output}, got none")


def _on_paths(edges: Edges, output: int) -> list[int]:
    """Vertices on a path from input to output, ascending; none where there is no path."""
    forward, backward = {0}, {output}
    for source, target in sorted(edges):
        if source in forward:
            forward.add(target)
    for source, target in sorted(edges, key=lambda edge: -edge[1]):
        if target in backward:
            backward.add(source)
    return sorted(forward & backward) if output in forward else []


def _cell_or_none(operations: Sequence[str], edges: Edges) -> VertexCell | None:
    """The canonical cell; None where edges and operations make none."""
    if not _on_paths(edges, len(operations) + 1):
        return None
    cell = _pruned(operations, edges)
    return cell.canonical() if len(cell.edges) <= MAX_EDGES else None


def _pruned(operations: Sequence[str], edges: Edges) -> VertexCell:
    kept = _on_paths(edges, len(operations) + 1)
    place = {vertex: number for number, vertex in enumerate(kept)}
    inner = sorted((place[source], place[target]) for source, target in edges if source in place and target in place)
    return VertexCell(tuple(operations[vertex - 1] for vertex in kept[1:-1]), tuple(inner))


@lru_cache(maxsize=65536)
def _canonical(cell: VertexCell) -> VertexCell:
    best = cell.operations, cell.edges
    for order in itertools.permutations(range(1, cell.output)):
        number = (0, *order, cell.output)  # new number of each vertex
        moved = tuple(sorted((number[source], number[target]) for source, target in cell.edges))
        if all(source < target for source, target in moved):
            renamed = tuple(name for _, name in sorted(zip(order, cell.operations, strict=True)))
            best = min(best, (renamed, moved))
    return VertexCell(*best)


def _changed(cell: VertexCell, rng: random.Random) -> tuple[list[str], Edges]:
    operations, edges = list(cell.operations), frozenset(cell.edges)
    kinds = ["edge"] + ["operation"] * bool(operations) + ["vertex"] * (cell.output + 1 < MAX_VERTICES)
    kind = rng.choice(kinds)
    if kind == "operation":
        place = rng.randrange(len(operations))
        operations[place] = rng.choice([name for name in OPERATIONS if name != operations[place]])
    elif kind == "edge":
        edges ^= {rng.choice(list(itertools.combinations(range(cell.output + 1), 2)))}
    else:  # a new last inner vertex, between two others
        output = cell.output
        moved = {(source, target + (target == output)) for source, target in edges}
        operations.append(rng.choice(OPERATIONS))
        edges = frozenset(moved | {(rng.randrange(output), output), (output, output + 1)})
    return operations, edges


def _padded(cell: VertexCell) -> tuple[list[str], Edges]:
    """The same cell with seven vertices, of which some lie on no path."""
    missing = MAX_VERTICES - 1 - cell.output
    edges = frozenset((source, target + missing * (target == cell.output)) for source, target in cell.edges)
    return [*cell.operations, *[OPERATIONS[0]] * missing], edges


# --- networks -----------------------------------------------------------------------------------------------------


def vertex_channels(cell: VertexCell, channels: int) -> list[int]:
    """Output channels of the inner vertices 1, 2, ... of a cell with ``channels`` outputs.

    The output concatenates its inner sources, which share the channels (the first get one more where they do not
    divide evenly); any other vertex has as many as the largest that it feeds.
    """
    inner = [source for source in cell.sources(cell.output) if source > 0]
    found = [0] * (cell.output + 1)
    for rank, vertex in enumerate(inner):
        found[vertex] = channels // len(inner) + (rank < channels % len(inner))
    for vertex in range(cell.output - 1, 0, -1):
        if vertex not in inner:
            found[vertex] = max(found[target] for source, target in cell.edges if source == vertex)
    return found[1:-1]


def _add_cell(builder: GraphBuilder, source: int, cell: VertexCell, channels: int, name: str) -> int:
    """Inputs of the cell are projected by 1x1 convolutions, all others are truncated to the channels they meet."""
    widths = [0, *vertex_channels(cell, channels)]
    nodes = [source]
    for vertex in range(1, cell.output):
        where, parts = f"{name}/vertex{vertex}", []
        for start in cell.sources(vertex):
            parts.append(
                conv_norm(builder, source, f"{where}/projection", widths[vertex], 1, activation="relu")
                if start == 0
                else _truncated(builder, nodes[start], widths[vertex], f"{where}/truncate{start}")
            )
        total = parts[0] if len(parts) == 1 else builder.add("add", *parts, name=f"{where}/sum")
        nodes.append(_vertex(builder, total, cell.operations[vertex - 1], widths[vertex], where))
    return _output(builder, nodes, cell, channels, name)


def _output(builder: GraphBuilder, nodes: list[int], cell: VertexCell, channels: int, name: str) -> int:
    sources = cell.sources(cell.output)
    parts = [nodes[source] for source in sources if source > 0]
    if 0 in sources:
        projected = conv_norm(builder, nodes[0], f"{name}/output/projection", channels, 1, activation="relu")
        if not parts:
            return projected
    joined = parts[0] if len(parts) == 1 else builder.add("concat", *parts, name=f"{name}/output/concat", axis=0)
    return builder.add("add", joined, projected, name=f"{name}/output/sum") if 0 in sources else joined


def _truncated(builder: GraphBuilder, source: int, channels: int, name: str) -> int:
    if builder.shape(source)[0] == channels:
        return source
    return builder.add("truncate", source, name=name, channels=channels)


def _vertex(builder: GraphBuilder, source: int, operation: str, channels: int, name: str) -> int:
    if operation == "maxpool3x3":
        return builder.add("max_pool", source, name=f"{name}/pool", kernel=3, padding=1)
    return conv_norm(builder, source, name, channels, 3 if "3x3" in operation else 1, activation="relu")


def _cell_of_json(text: str) -> VertexCell:
    fault = GenotypeError(
        f"nasbench101 genotype: expected a text such as {_EXAMPLE}, or an adjacency matrix and operations as JSON "
        f"with a space between them, got {text[:80]!r}"
    )
    if len(text) > MAX_TEXT_LENGTH:
        raise fault
    try:
        matrix, end = json.JSONDecoder().raw_decode(text.strip())
        operations = json.loads(text.strip()[end:])
    except (ValueError, RecursionError):
        raise fault from None
    size = len(matrix)
    is_matrix = all(
        isinstance(row, list) and len(row) == size and all(entry in (0, 1) for entry in row) for row in matrix
    )
    if not is_matrix or not isinstance(operations, list) or len(operations) != size or size < 2:
        raise fault
    if not all(isinstance(name, str) for name in operations):
        raise fault
    return VertexCell.of_matrix(matrix, operations)


NASBENCH101 = NasBench101()
