"""Settings of adapters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from nasengine.errors import ConfigError

Initialization = Literal["random", "pissa", "eva"]


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """What is adapted, and how adapters start.

    Args:
        rank: of every adapter; with ``eva`` the mean over layers. Layers whose matrix has a smaller side take that.
        initialization: ``random`` (LoRA), ``pissa`` or ``eva``.
        layers: patterns such as ``cells/*`` for the names of convolutions and linear layers that get an adapter.
        num_classes: of the new task; where it is not the network's, its classifiers are replaced and trained.
        train_classifier: train the classifiers as they are, instead of adapting them.
        train_norms: train scales, shifts and running statistics of norms; otherwise they are frozen as well. Where the
            new images look unlike the old ones, frozen statistics fit badly and training may diverge.
        rho: with ``eva``, a layer gets at most this times ``rank``; 1 gives every layer the same.
        tau: with ``eva``, a layer is done when the cosines between its directions before and after a batch are at
            least this.
        samples_per_batch: with ``eva``, inputs of a layer that are looked at in a batch, at most; of a convolution an
            input is what lies under its kernel at one place. Memory grows with it, not with images or batches.

    Raises:
        ConfigError: lists all values that cannot be.
    """

    rank: int = 4
    initialization: Initialization = "eva"
    layers: Sequence[str] = ("*",)
    num_classes: int | None = None
    train_classifier: bool = False
    train_norms: bool = False
    rho: float = 2.0
    tau: float = 0.99
    samples_per_batch: int = 512

    def __post_init__(self) -> None:
        faults = [
            f"adapters, {name}: expected a whole number of at least 1, got {value!r}"
            for name, value in (("rank", self.rank), ("samples_per_batch", self.samples_per_batch))
            if not _is_count(value)
        ]
        if self.num_classes is not None and not _is_count(self.num_classes):
            faults.append(f"adapters, num_classes: expected None or at least 1, got {self.num_classes!r}")
        if self.initialization not in get_args(Initialization):
            known = ", ".join(get_args(Initialization))
            faults.append(f"adapters, initialization: expected one of {known}, got {self.initialization!r}")
        if isinstance(self.layers, str) or not self.layers:
            faults.append(f"adapters, layers: expected a list of one or more patterns, got {self.layers!r}")
        if not 1 <= self.rho < math.inf:
            faults.append(f"adapters, rho: expected a number of at least 1, got {self.rho}")
        if not 0 < self.tau <= 1:
            faults.append(f"adapters, tau: expected a cosine above 0 and at most 1, got {self.tau}")
        if faults:
            raise ConfigError(faults)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
