"""A search space whose genotypes are structured values of its own, stated by functions on them."""

import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasengine.architecture import Architecture
from nasengine.errors import GenotypeError
from nasengine.gene_space import MAX_TEXT_LENGTH
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import NetworkConfig

if TYPE_CHECKING:
    from nasengine.network import GraphNetwork


@dataclass(frozen=True)
class GenotypeRules:
    """What a space knows of its genotypes; equal networks must have equal genotypes.

    Args:
        sample: draws a genotype.
        mutate: another genotype that differs in one thing.
        cross: a child of two genotypes; equal parents have an equal child.
        fault: what is wrong with a value, as "place: expected ..., got ..."; None where it is a genotype.
        parse: reads a value that ``fault`` then checks; raises GenotypeError where the text cannot be split up.
        format: writes a genotype.
    """

    sample: Callable[[random.Random], Hashable]
    mutate: Callable[[Any, random.Random], Hashable]
    cross: Callable[[Any, Any, random.Random], Hashable]
    fault: Callable[[Any], str | None]
    parse: Callable[[str], Hashable]
    format: Callable[[Any], str]


@dataclass(frozen=True)
class StructuredSpace:
    """Implements the SearchSpace protocol.

    Args:
        name: name on the command line.
        title: what it is, in a few words.
        paper: authors, year and where.
        size: number of architectures.
        rules: of the genotypes.
        to_graph_of: builds the network of a genotype.
        defaults: sizes of the network as the paper evaluates it.
    """

    name: str
    title: str
    paper: str
    size: int
    rules: GenotypeRules
    to_graph_of: Callable[[Any, NetworkConfig], ComputationGraph]
    defaults: NetworkConfig

    def sample(self, rng: random.Random) -> Architecture:
        """Draw an architecture."""
        return Architecture(self.name, self.rules.sample(rng))

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """A neighbour that differs in one thing."""
        return Architecture(self.name, self.rules.mutate(self._genotype(architecture), rng))

    def crossover(self, first: Architecture, second: Architecture, rng: random.Random) -> Architecture:
        """A child that has each part from one of its parents."""
        return Architecture(self.name, self.rules.cross(self._genotype(first), self._genotype(second), rng))

    def validate(self, architecture: Architecture) -> None:
        """Raise GenotypeError unless the architecture belongs to this space."""
        self._genotype(architecture)

    def parse(self, text: str) -> Architecture:
        """Read the notation of this space."""
        if len(text) > MAX_TEXT_LENGTH:
            raise GenotypeError(f"{self.name} genotype: expected at most {MAX_TEXT_LENGTH} characters, got {len(text)}")
        architecture = Architecture(self.name, self.rules.parse(text.strip()))
        self.validate(architecture)
        return architecture

    def format(self, architecture: Architecture) -> str:
        """Write the notation of this space."""
        return self.rules.format(self._genotype(architecture))

    def to_graph(self, architecture: Architecture, config: NetworkConfig) -> ComputationGraph:
        """Computation graph of an architecture; no weights are made."""
        return self.to_graph_of(self._genotype(architecture), config)

    def build(self, architecture: Architecture, config: NetworkConfig, seed: int = 0) -> "GraphNetwork":
        """A trainable network of an architecture; ``seed`` gives its initial weights."""
        from nasengine.network import GraphNetwork  # only here torch is needed

        return GraphNetwork(self.to_graph(architecture, config), seed)

    def _genotype(self, architecture: Architecture) -> Any:
        if architecture.space != self.name:
            raise GenotypeError(
                f"space {self.name}: expected one of its architectures, got one of {architecture.space}"
            )
        fault = self.rules.fault(architecture.genotype)
        if fault is not None:
            raise GenotypeError(f"{self.name} genotype, {fault}")
        return architecture.genotype
