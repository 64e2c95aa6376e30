"""Limits that an answer must keep, and by how much a network misses them."""

from collections.abc import Mapping
from dataclasses import dataclass

from nasengine.errors import ConfigError

METRICS = {
    "latency_ms": "latency", "model_bytes": "size of the file", "peak_bytes": "peak memory", "macs": "macs",
    "num_parameters": "parameters",
}  # fmt: skip
"""What can be limited, and what people call it; all are to be small."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A metric must be at most a limit.

    Args:
        metric: one of ``METRICS``.
        limit: above 0, in the metric's unit.
    """

    metric: str
    limit: float

    def __post_init__(self) -> None:
        if self.metric not in METRICS or not 0 < self.limit < float("inf"):
            raise ConfigError(
                f"constraint on {self.metric}: expected a limit above 0 on one of {', '.join(METRICS)}, "
                f"got {self.limit}"
            )

    def excess(self, metrics: Mapping[str, float]) -> float:
        """By what share of the limit a network exceeds it; 0 where it keeps it, infinite where it does not run."""
        return max(0.0, metrics[self.metric] / self.limit - 1)


@dataclass(frozen=True, slots=True)
class Constraints:
    """Limits that all have to be kept.

    >>> limits = Constraints((Constraint("latency_ms", 20.0), Constraint("model_bytes", 1e6)))
    >>> limits.violation({"latency_ms": 25.0, "model_bytes": 1.1e6})
    0.35
    >>> limits.misses({"latency_ms": 25.0, "model_bytes": 9e5})
    'latency 25 of 20 (25.0 % too much)'
    """

    limits: tuple[Constraint, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.limits)

    def violation(self, metrics: Mapping[str, float]) -> float:
        """Sum of all excesses; 0 for a network that keeps all limits."""
        return round(sum((entry.excess(metrics) for entry in self.limits), 0.0), 9)

    def misses(self, metrics: Mapping[str, float]) -> str:
        """The limits that a network exceeds, in words; empty where it keeps all."""
        found = [entry for entry in self.limits if entry.excess(metrics) > 0]
        return ", ".join(
            f"{METRICS[entry.metric]} {metrics[entry.metric]:.6g} of {entry.limit:.6g} "
            f"({100 * entry.excess(metrics):.1f} % too much)"
            for entry in found
        )


NO_LIMITS = Constraints()
"""Every network is an answer."""
