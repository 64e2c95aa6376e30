"""What an elastic space must offer beside ``protocols.ElasticSpace`` for its supernet to be split by layers.

Structural as all protocols; nothing here imports torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from nasengine.architecture import Architecture
from nasengine.graph.supergraph import ChoiceKey, Selection
from nasengine.protocols import ElasticSpace


@dataclass(frozen=True, slots=True)
class ElasticLayer:
    """A layer of elastic networks.

    Args:
        prefix: how the names of its nodes begin, up to a ``/``.
        candidates: names of what may stand there; being left out is one of them, where that may be.
    """

    prefix: str
    candidates: tuple[str, ...]


@runtime_checkable
class SupportsElasticSplits(Protocol):
    """An elastic space that can be divided by what stands in a layer.

    ``layers`` names the layers and their candidates; ``selection`` gives the one candidate that an architecture has in
    each; ``allowed`` those that are in this part of the space. ``placed`` puts a candidate into a layer, and may change
    others for it to fit, but alike for all candidates of the layer.
    ``restrict`` gives the part of the space inside some candidates, which keep their numbers; its largest and smallest
    architectures are parts of the largest one of the whole space.
    """

    @property
    def layers(self) -> Mapping[ChoiceKey, ElasticLayer]: ...
    @property
    def allowed(self) -> Selection: ...
    def selection(self, architecture: Architecture) -> Selection: ...
    def placed(self, architecture: Architecture, key: ChoiceKey, pick: int) -> Architecture: ...
    def restrict(self, allowed: Selection) -> "SplittableElasticSpace": ...


@runtime_checkable
class SplittableElasticSpace(ElasticSpace, SupportsElasticSplits, Protocol):
    """An elastic space whose supernet can be split."""
