"""What a run says of its device: limits, what the winner costs there, and how accuracy trades against cost."""

from collections.abc import Mapping
from typing import Any

from nasengine.pipeline.feasibility import Feasibility
from nasengine.protocols import SearchSpace


def device_summary(
    feasibility: Feasibility | None,
    results: Mapping[str, dict[str, Any]],
    leaves: list[dict[str, Any]],
    space: SearchSpace,
) -> dict[str, Any] | None:
    """For the summary of a run; None without a device.

    Args:
        feasibility: costs on the device.
        results: outcome of each trained network, with its genotype.
        leaves: what was compared, with validation accuracies.
        space: that genotypes are from.
    """
    if feasibility is None:
        return None
    device = feasibility.device
    return {
        "name": device.target.name,
        "limits": {entry.metric: entry.limit for entry in device.constraints.limits},
        **{name: costs_of(feasibility, space, row["genotype"]) for name, row in results.items()},
    }


def costs_of(feasibility: Feasibility, space: SearchSpace, genotype: str) -> dict[str, float]:
    """Costs on the device, before anything was exported."""
    found = feasibility.cost_of(space.parse(genotype))
    deviation = {} if found.latency_std_ms is None else {"latency_std_ms": found.latency_std_ms}
    return {name: round(value, 4) for name, value in {**found.metrics, **deviation}.items()}
