"""What is to be large and what small."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nasengine.errors import ConfigError


@dataclass(frozen=True)
class Objective:
    """A metric and what it is to be.

    Args:
        metric: its name in ``Evaluation.metrics``; ``macs``, ``num_parameters`` and ``peak_bytes`` need not be there.
        direction: ``max`` or ``min``.
    """

    metric: str
    direction: str

    def __post_init__(self) -> None:
        if self.direction not in ("max", "min"):
            raise ConfigError(f"objective {self.metric}: expected direction max or min, got {self.direction!r}")

    @property
    def sign(self) -> int:
        """Metrics times this are to be large."""
        return 1 if self.direction == "max" else -1


ACCURACY_AND_MACS = (Objective("accuracy", "max"), Objective("macs", "min"))


def point_of(metrics: Mapping[str, float], objectives: Sequence[Objective]) -> list[float]:
    """The objectives of a network, all to be large.

    >>> point_of({"accuracy": 0.9, "macs": 5.0}, ACCURACY_AND_MACS)
    [0.9, -5.0]
    """
    return [entry.sign * metrics[entry.metric] for entry in objectives]
