"""Which paths of a supernet run, and with what weights: an argument of its forward pass, never a state of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from nasengine.architecture import Architecture
from nasengine.graph.supergraph import ChoiceKey, Selection

Weights = Mapping[str, Float[Tensor, "num_edges num_candidates"]]
"""Weight of every candidate of every edge, by kind of cell."""


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of candidates on every edge.

    Args:
        weights: used as they are; they need not sum to one.
        active: candidates that are computed at all; None computes all of them. It is plain Python data, so that
            deciding what runs never waits for a device.
    """

    weights: Weights
    active: Selection | None = None


Choice = Architecture | Selection | Mixture
"""An architecture runs one candidate an edge; a selection (a mask) the mean of those it names; a mixture says more."""

ActiveKey = tuple[tuple[ChoiceKey, tuple[int, ...]], ...]


def active_key(active: Selection) -> ActiveKey:
    """Hashable form of a selection."""
    return tuple(sorted((key, tuple(picks)) for key, picks in active.items()))
