"""The graph of a cell before anything is chosen, and how genotypes on it are drawn, varied and checked."""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product

from nasengine.architecture import CellEdge, CellGenotype
from nasengine.errors import GenotypeError
from nasengine.graph.supergraph import Selection

Candidates = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class CellTopology:
    """Nodes, edges and candidate operations of the cells of a space.

    An intermediate node may read all earlier nodes, or the ``reach`` last ones; edges are numbered by target, then
    source. Layers one after the other are a cell of reach 1.

    Args:
        num_inputs: nodes that hold the outputs of earlier cells.
        num_nodes: intermediate nodes.
        candidates: for every kind of cell the candidate operations of each edge.
        inputs_per_node: edges that a genotype keeps into each intermediate node; None keeps all.
        search_only: candidates that take part in the search but in no genotype (``none`` in the DARTS spaces).
        allowed: candidates, by index, that genotypes may have: a part of the space; all of them by default.
        reach: how many of the nodes before it a node may read; None for all.
    """

    num_inputs: int
    num_nodes: int
    candidates: Mapping[str, Candidates]
    inputs_per_node: int | None = None
    search_only: frozenset[str] = frozenset()
    allowed: Selection | None = None
    reach: int | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of cells."""
        return tuple(self.candidates)

    @property
    def targets(self) -> range:
        """Intermediate nodes."""
        return range(self.num_inputs, self.num_inputs + self.num_nodes)

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(source, target) of every edge, by edge index."""
        return tuple((source, target) for target in self.targets for source in self.sources(target))

    def sources(self, target: int) -> range:
        """Nodes that a node may read."""
        return range(0 if self.reach is None else max(0, target - self.reach), target)

    def edge_index(self, source: int, target: int) -> int:
        """Index of an edge."""
        return self.edges.index((source, target))

    def selectable(self, kind: str, edge_index: int) -> tuple[str, ...]:
        """Candidates of an edge that a genotype may contain."""
        names = self.candidates[kind][edge_index]
        picks = range(len(names)) if self.allowed is None else self.allowed[(kind, edge_index)]
        return tuple(names[pick] for pick in picks if names[pick] not in self.search_only)

    def num_kept(self, target: int) -> int:
        """Edges that a genotype has into a node."""
        available = len(self.sources(target))
        return min(available, self.inputs_per_node or available)

    @property
    def size(self) -> int:
        """Number of genotypes."""
        total = 1
        for kind in self.kinds:
            for target in self.targets:
                total *= sum(
                    math.prod(len(self.selectable(kind, self.edge_index(source, target))) for source in sources)
                    for sources in combinations(self.sources(target), self.num_kept(target))
                )
        return total

    def sample(self, rng: random.Random) -> CellGenotype:
        """Draw a genotype: sources uniformly without replacement, then an operation uniformly on each edge."""
        return CellGenotype.of(**{
            kind: [edge for target in self.targets for edge in self._sample_node(kind, target, rng)]
            for kind in self.kinds
        })  # fmt: skip

    def _sample_node(self, kind: str, target: int, rng: random.Random) -> list[CellEdge]:
        sources = rng.sample(self.sources(target), self.num_kept(target))
        return [self._draw(kind, source, target, rng) for source in sources]

    def _draw(self, kind: str, source: int, target: int, rng: random.Random, but: str | None = None) -> CellEdge:
        names = [name for name in self.selectable(kind, self.edge_index(source, target)) if name != but]
        return CellEdge(target, source, rng.choice(names))

    def mutate(self, genotype: CellGenotype, rng: random.Random) -> CellGenotype:
        """Change the operation or, where there is a choice, the source of one random edge.

        Never the same genotype, unless it is the only one.
        """
        moves: list[tuple[str, CellEdge, int | None]] = []
        for kind in self.kinds:
            for edge in genotype.edges(kind):
                if len(self.selectable(kind, self.edge_index(edge.source, edge.target))) > 1:
                    moves.append((kind, edge, None))
                taken = {other.source for other in genotype.edges(kind) if other.target == edge.target}
                moves.extend((kind, edge, source) for source in self.sources(edge.target) if source not in taken)
        operation_moves = [move for move in moves if move[2] is None]
        source_moves = [move for move in moves if move[2] is not None]
        pools = [pool for pool in (operation_moves, source_moves) if pool]
        if not pools:
            return genotype
        kind, edge, source = rng.choice(rng.choice(pools))
        if source is None:
            new = self._draw(kind, edge.source, edge.target, rng, but=edge.operation)
        else:
            names = self.selectable(kind, self.edge_index(source, edge.target))
            kept = edge.operation in names
            new = CellEdge(edge.target, source, edge.operation if kept else rng.choice(names))
        edges = {name: list(genotype.edges(name)) for name in self.kinds}
        edges[kind] = [new if old == edge else old for old in edges[kind]]
        return CellGenotype.of(**edges)

    def crossover(self, first: CellGenotype, second: CellGenotype, rng: random.Random) -> CellGenotype:
        """Take the edges into each node of each cell from one parent or the other, with equal chance."""
        return CellGenotype.of(**{
            kind: [
                edge
                for target in self.targets
                for edge in rng.choice((first, second)).edges(kind)
                if edge.target == target
            ]
            for kind in self.kinds
        })  # fmt: skip

    def enumerate(self) -> Iterator[CellGenotype]:
        """All genotypes, in a fixed order."""
        cells = [[(kind, cell) for cell in self._cells(kind)] for kind in self.kinds]
        for combination in product(*cells):
            yield CellGenotype.of(**dict(combination))

    def _cells(self, kind: str) -> list[list[CellEdge]]:
        nodes = []
        for target in self.targets:
            nodes.append([
                [CellEdge(target, source, name) for source, name in zip(sources, names, strict=True)]
                for sources in combinations(self.sources(target), self.num_kept(target))
                for names in product(*(self.selectable(kind, self.edge_index(s, target)) for s in sources))
            ])  # fmt: skip
        return [[edge for node in cell for edge in node] for cell in product(*nodes)]

    def validate(self, genotype: CellGenotype, where: str) -> None:
        """Raise GenotypeError, naming the cell and edge, unless the genotype belongs to this space."""
        if genotype.kinds != self.kinds:
            raise GenotypeError(f"{where}: expected cells {', '.join(self.kinds)}, got {', '.join(genotype.kinds)}")
        for kind in self.kinds:
            for edge in genotype.edges(kind):
                self._validate_edge(kind, edge, where)
            for target in self.targets:
                sources = [edge.source for edge in genotype.edges(kind) if edge.target == target]
                if len(sources) != self.num_kept(target) or len(set(sources)) != len(sources):
                    raise GenotypeError(
                        f"{where}, {kind} cell, node {target}: expected {self.num_kept(target)} different inputs, "
                        f"got {sources}"
                    )

    def _validate_edge(self, kind: str, edge: CellEdge, where: str) -> None:
        place = f"{where}, {kind} cell, edge {edge.source}->{edge.target}"
        if edge.target not in self.targets or edge.source not in self.sources(edge.target):
            raise GenotypeError(
                f"{place}: expected an edge into node {self.targets.start} to {self.targets.stop - 1} "
                f"from an earlier node"
            )
        names = self.selectable(kind, self.edge_index(edge.source, edge.target))
        if edge.operation not in names:
            raise GenotypeError(f"{place}: expected one of {', '.join(names)}, got {edge.operation!r}")
