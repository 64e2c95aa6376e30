"""A search space whose architectures are rows of independent choices."""

import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasengine.architecture import Architecture
from nasengine.errors import GenotypeError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import NetworkConfig

if TYPE_CHECKING:
    from nasengine.network import GraphNetwork

MAX_TEXT_LENGTH = 10_000
Genes = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class GeneRows:
    """Genotypes that are tuples with a choice for each gene: all of the SearchSpace protocol but the networks.

    Args:
        name: name on the command line.
        title: what it is, in a few words.
        paper: authors, year and where.
        choices: what each gene may be.
        defaults: sizes of the network as the paper evaluates it.
        separator: between the genes of a text; empty where every choice is one character.
    """

    name: str
    title: str
    paper: str
    choices: tuple[tuple[str, ...], ...]
    defaults: NetworkConfig
    separator: str = ","

    @property
    def size(self) -> int:
        """Number of architectures."""
        return math.prod(map(len, self.choices))

    def sample(self, rng: random.Random) -> Architecture:
        """Draw an architecture."""
        return Architecture(self.name, tuple(rng.choice(known) for known in self.choices))

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """A neighbour that differs in one gene; never the same, unless it is the only one."""
        genes = list(self.genes(architecture))
        places = [place for place, known in enumerate(self.choices) if len(known) > 1]
        if not places:
            return architecture
        place = rng.choice(places)
        genes[place] = rng.choice([choice for choice in self.choices[place] if choice != genes[place]])
        return Architecture(self.name, tuple(genes))

    def crossover(self, first: Architecture, second: Architecture, rng: random.Random) -> Architecture:
        """A child that has each gene from one of its parents."""
        pairs = zip(self.genes(first), self.genes(second), strict=True)
        return Architecture(self.name, tuple(rng.choice(pair) for pair in pairs))

    def validate(self, architecture: Architecture) -> None:
        """Raise GenotypeError unless the architecture belongs to this space."""
        genes = self.genes(architecture)
        if len(genes) != len(self.choices):
            raise GenotypeError(f"{self.name} genotype: expected {len(self.choices)} genes, got {len(genes)}")
        for place, (gene, known) in enumerate(zip(genes, self.choices, strict=True)):
            if gene not in known:
                raise GenotypeError(
                    f"{self.name} genotype, gene {place}: expected one of {', '.join(known)}, got {gene[:40]!r}"
                )

    def parse(self, text: str) -> Architecture:
        """Read the genes of an architecture."""
        if len(text) > MAX_TEXT_LENGTH:
            raise GenotypeError(f"{self.name} genotype: expected at most {MAX_TEXT_LENGTH} characters, got {len(text)}")
        genes = text.strip().split(self.separator) if self.separator else list(text.strip())
        architecture = Architecture(self.name, tuple(gene.strip() for gene in genes))
        self.validate(architecture)
        return architecture

    def format(self, architecture: Architecture) -> str:
        """Write the genes of an architecture."""
        return self.separator.join(self.genes(architecture))

    def enumerate(self) -> Iterator[Architecture]:
        """All architectures, in a fixed order."""
        return (Architecture(self.name, genes) for genes in itertools.product(*self.choices))

    def genes(self, architecture: Architecture) -> Genes:
        """The genes of an architecture of this space."""
        genes = architecture.genotype
        if architecture.space != self.name or not isinstance(genes, tuple):
            raise GenotypeError(
                f"space {self.name}: expected one of its architectures, got one of {architecture.space}"
            )
        return genes


@dataclass(frozen=True, kw_only=True)
class GeneSpace(GeneRows):
    """Implements the SearchSpace protocol and SupportsEnumeration.

    Args:
        to_graph_of: builds the network of some genes.
    """

    to_graph_of: Callable[[Genes, NetworkConfig], ComputationGraph]

    def to_graph(self, architecture: Architecture, config: NetworkConfig) -> ComputationGraph:
        """Computation graph of an architecture; no weights are made."""
        self.validate(architecture)
        return self.to_graph_of(self.genes(architecture), config)

    def build(self, architecture: Architecture, config: NetworkConfig, seed: int = 0) -> "GraphNetwork":
        """A trainable network of an architecture; ``seed`` gives its initial weights."""
        from nasengine.network import GraphNetwork  # only here torch is needed

        return GraphNetwork(self.to_graph(architecture, config), seed)
