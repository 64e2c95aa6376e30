"""A cell search space, put together from a topology, a notation and a skeleton."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from nasengine.architecture import Architecture, CellEdge, CellGenotype
from nasengine.cells.topology import CellTopology
from nasengine.errors import GenotypeError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.graph.supergraph import Selection, SuperGraph
from nasengine.protocols import NetworkConfig, SearchScale

if TYPE_CHECKING:
    from nasengine.network import GraphNetwork


@dataclass(frozen=True)
class Notation:
    """Text of a genotype, both ways. ``parse`` raises GenotypeError for text that it cannot read."""

    parse: Callable[[str], CellGenotype]
    format: Callable[[CellGenotype], str]


@dataclass(frozen=True)
class CellSpace:
    """Implements the SearchSpace protocol, and SupportsEnumeration and SupportsSupernet, for cells.

    Args:
        name: name on the command line.
        title: what it is, in a few words.
        paper: authors, year and arXiv id.
        topology: nodes, edges and candidates of a cell.
        notation: text of genotypes.
        skeleton: builds the network of cells; edges of cells stay open.
        defaults: sizes of the network as the paper evaluates it.
        scales: what the budgets ``quick``, ``standard`` and ``full`` mean in this space.
    """

    name: str
    title: str
    paper: str
    topology: CellTopology = field(hash=False)
    notation: Notation
    skeleton: Callable[[CellTopology, NetworkConfig], SuperGraph]
    defaults: NetworkConfig
    scales: Mapping[str, SearchScale] = field(hash=False)

    @property
    def size(self) -> int:
        """Number of architectures."""
        return self.topology.size

    def sample(self, rng: random.Random) -> Architecture:
        """Draw an architecture."""
        return Architecture(self.name, self.topology.sample(rng))

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """A neighbour that differs in one edge."""
        return Architecture(self.name, self.topology.mutate(self._genotype(architecture), rng))

    def crossover(self, first: Architecture, second: Architecture, rng: random.Random) -> Architecture:
        """A child of two architectures."""
        return Architecture(self.name, self.topology.crossover(self._genotype(first), self._genotype(second), rng))

    def validate(self, architecture: Architecture) -> None:
        """Raise GenotypeError unless the architecture belongs to this space."""
        self.topology.validate(self._genotype(architecture), f"{self.name} genotype")

    def parse(self, text: str) -> Architecture:
        """Read a genotype as the papers print it."""
        architecture = Architecture(self.name, self.notation.parse(text))
        self.validate(architecture)
        return architecture

    def format(self, architecture: Architecture) -> str:
        """Write a genotype as the papers print it."""
        return self.notation.format(self._genotype(architecture))

    def enumerate(self) -> Iterator[Architecture]:
        """All architectures, in a fixed order."""
        return (Architecture(self.name, genotype) for genotype in self.topology.enumerate())

    def restrict(self, allowed: Selection) -> "CellSpace":
        """The part of the space whose architectures keep to ``allowed``; candidates keep their numbers."""
        return replace(self, topology=replace(self.topology, allowed=allowed))

    def supergraph(self, config: NetworkConfig) -> SuperGraph:
        """The network with all candidates in place; equal settings share one graph."""
        return _supergraph(self, config)

    def selection(self, architecture: Architecture) -> Selection:
        """Which candidates of the supergraph an architecture keeps."""
        genotype, topology = self._genotype(architecture), self.topology
        chosen = {
            (kind, edge.source, edge.target): edge.operation for kind in topology.kinds for edge in genotype.edges(kind)
        }
        return {
            (kind, index): _picks(topology.candidates[kind][index], chosen.get((kind, source, target)))
            for kind in topology.kinds
            for index, (source, target) in enumerate(topology.edges)
        }

    def architecture(self, selection: Selection) -> Architecture:
        """The architecture that keeps some candidates, at most one of each choice."""
        return Architecture(self.name, genotype_of(self.topology, selection))

    def to_graph(self, architecture: Architecture, config: NetworkConfig) -> ComputationGraph:
        """Computation graph of an architecture; no weights are made."""
        return self.supergraph(config).resolve(self.selection(architecture))

    def build(self, architecture: Architecture, config: NetworkConfig, seed: int = 0) -> "GraphNetwork":
        """A trainable network of an architecture; ``seed`` gives its initial weights."""
        from nasengine.network import GraphNetwork  # only here torch is needed

        return GraphNetwork(self.to_graph(architecture, config), seed)

    def _genotype(self, architecture: Architecture) -> CellGenotype:
        if architecture.space != self.name or not isinstance(architecture.genotype, CellGenotype):
            raise GenotypeError(
                f"space {self.name}: expected one of its architectures, got one of {architecture.space}"
            )
        return architecture.genotype


def genotype_of(topology: CellTopology, selection: Selection) -> CellGenotype:
    """The edges that a selection keeps, with the candidate of each."""
    edges: dict[str, list[CellEdge]] = {kind: [] for kind in topology.kinds}
    for (kind, index), picks in selection.items():
        for pick in picks:
            source, target = topology.edges[index]
            edges[kind].append(CellEdge(target, source, topology.candidates[kind][index][pick]))
    return CellGenotype.of(**edges)


def _picks(candidates: tuple[str, ...], operation: str | None) -> tuple[int, ...]:
    return () if operation is None else (candidates.index(operation),)


@lru_cache(maxsize=64)
def _supergraph(space: CellSpace, config: NetworkConfig) -> SuperGraph:
    return space.skeleton(space.topology, config)
