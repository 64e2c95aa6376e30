"""A search space of layers one after the other, each of them one of some candidates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from nasengine.architecture import Architecture
from nasengine.cells.topology import CellTopology
from nasengine.gene_space import GeneRows
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.graph.supergraph import Selection, SuperGraph
from nasengine.protocols import NetworkConfig, SearchScale

if TYPE_CHECKING:
    from nasengine.network import GraphNetwork

LAYER = "layer"
"""The only kind of choice: that of layer ``i`` is ``(LAYER, i)``."""


@dataclass(frozen=True, kw_only=True)
class ChainSpace(GeneRows):
    """Implements the SearchSpace protocol, and SupportsEnumeration and SupportsSupernet, for chains of layers.

    Args:
        candidates: for each layer the name of each candidate and the gene that stands for it.
        skeleton: builds the network with all candidates in place.
        scales: what the budgets ``quick``, ``standard`` and ``full`` mean in this space.
    """

    candidates: tuple[Mapping[str, str], ...] = field(hash=False)
    skeleton: Callable[[NetworkConfig], SuperGraph]
    scales: Mapping[str, SearchScale] = field(hash=False)

    @property
    def topology(self) -> CellTopology:
        """The chain as a cell whose nodes read the node before them."""
        names = tuple(tuple(known) for known in self.candidates)
        return CellTopology(1, len(names), {LAYER: names}, allowed=self._allowed, reach=1)

    def restrict(self, allowed: Selection) -> "ChainSpace":
        """The part of the space whose architectures keep to ``allowed``; candidates keep their numbers."""
        genes = [tuple(known.values()) for known in self.candidates]
        choices = tuple(tuple(known[pick] for pick in allowed[(LAYER, layer)]) for layer, known in enumerate(genes))
        return replace(self, choices=choices)

    def supergraph(self, config: NetworkConfig) -> SuperGraph:
        """The network with all candidates in place; equal settings share one graph."""
        return _supergraph(self.skeleton, config)

    def selection(self, architecture: Architecture) -> Selection:
        """Which candidates of the supergraph an architecture keeps."""
        return {(LAYER, layer): (self._pick(layer, gene),) for layer, gene in enumerate(self.genes(architecture))}

    def architecture(self, selection: Selection) -> Architecture:
        """The architecture that keeps one candidate of each layer."""
        genes = [tuple(known.values()) for known in self.candidates]
        picks = (selection[(LAYER, layer)][0] for layer in range(len(genes)))
        return Architecture(self.name, tuple(known[pick] for known, pick in zip(genes, picks, strict=True)))

    def to_graph(self, architecture: Architecture, config: NetworkConfig) -> ComputationGraph:
        """Computation graph of an architecture; no weights are made."""
        self.validate(architecture)
        return self.supergraph(config).resolve(self.selection(architecture))

    def build(self, architecture: Architecture, config: NetworkConfig, seed: int = 0) -> "GraphNetwork":
        """A trainable network of an architecture; ``seed`` gives its initial weights."""
        from nasengine.network import GraphNetwork  # only here torch is needed

        return GraphNetwork(self.to_graph(architecture, config), seed)

    @property
    def _allowed(self) -> Selection:
        return {
            (LAYER, layer): tuple(self._pick(layer, gene) for gene in known) for layer, known in enumerate(self.choices)
        }

    def _pick(self, layer: int, gene: str) -> int:
        return tuple(self.candidates[layer].values()).index(gene)


@lru_cache(maxsize=64)
def _supergraph(skeleton: Callable[[NetworkConfig], SuperGraph], config: NetworkConfig) -> SuperGraph:
    return skeleton(config)
