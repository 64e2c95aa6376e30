"""What a run says of its device: limits, what the winner costs there, and how accuracy trades against cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from nasengine.pipeline.feasibility import Feasibility
from nasengine.protocols import SearchSpace
from nasengine.store.journal import Event
from nasengine.strategies import front, hypervolume, knee

ROOM = 1.1
"""The worst cost that counts in a volume, as a share of the largest that was seen, where there is no limit."""


def device_summary(
    feasibility: Feasibility, results: Mapping[str, dict[str, Any]], events: Sequence[Event], space: SearchSpace
) -> dict[str, Any]:
    """For the summary of a run.

    Args:
        feasibility: costs on the device.
        results: outcome of each trained network, with its genotype.
        events: the journal.
        space: that genotypes are from.
    """
    device = feasibility.device
    return {
        "name": device.target.name,
        "limits": {entry.metric: entry.limit for entry in device.constraints.limits},
        **{name: costs_of(feasibility, space, row["genotype"]) for name, row in results.items()},
        "trade_offs": trade_offs(feasibility, _measured(events), space),
    }


def costs_of(feasibility: Feasibility, space: SearchSpace, genotype: str) -> dict[str, float]:
    """Costs on the device, before anything was exported."""
    found = feasibility.cost_of(space.parse(genotype))
    deviation = {} if found.latency_std_ms is None else {"latency_std_ms": found.latency_std_ms}
    return {name: round(value, 4) for name, value in {**found.metrics, **deviation}.items()}


def trade_offs(feasibility: Feasibility, measured: Mapping[str, float], space: SearchSpace) -> dict[str, Any] | None:
    """Front, knee and hypervolume of what was measured on validation images; None for fewer than two architectures.

    Objectives are accuracy, latency where it is known (otherwise macs), and the size of the file. The volume is a share
    of the box from accuracy 0 and the limits, or the largest costs seen, to accuracy 1 and no cost.

    Args:
        feasibility: costs on the device.
        measured: accuracies by genotype, all measured in the same way.
        space: that genotypes are from.
    """
    costs = {text: costs_of(feasibility, space, text) for text in measured}
    kept = [text for text in measured if numpy.isfinite(costs[text].get("latency_ms", 0.0))]
    if len(kept) < 2:
        return None
    objectives = ("latency_ms" if "latency_ms" in costs[kept[0]] else "macs", "model_bytes")
    table = numpy.array([[measured[text], *(costs[text][name] for name in objectives)] for text in kept])
    limits = {entry.metric: entry.limit for entry in feasibility.device.constraints.limits}
    worst = [
        limits.get(name, ROOM * largest) for name, largest in zip(objectives, table[:, 1:].max(axis=0), strict=True)
    ]
    scaled = numpy.column_stack([table[:, 0], 1 - table[:, 1:] / worst])
    on_front = set(front(scaled).tolist())
    rows = [
        {"genotype": text, "validation_accuracy": measured[text], **costs[text], "is_on_front": place in on_front}
        for place, text in enumerate(kept)
    ]
    return {
        "objectives": ["validation_accuracy", *objectives], "points": rows, "knee": kept[knee(scaled)],
        "hypervolume": round(hypervolume(scaled, (0.0,) * scaled.shape[1]), 6),
    }  # fmt: skip


def _measured(events: Sequence[Event]) -> dict[str, float]:
    """Accuracies with shared weights, of sampled paths or of neighbours within the limits; otherwise of finalists.

    The first are many and comparable; those of finalists are of networks that were trained for different times.
    """
    shared = {
        event["metrics"]["genotype"]: event["metrics"]["accuracy"]
        for event in events
        if event["event"] == "step" and event["task"].startswith("selection") and "accuracy" in event["metrics"]
        and "genotype" in event["metrics"]
    }  # fmt: skip
    shared |= {text: value for event in events if event["event"] == "limits" for text, value in event["compared"]}
    if shared:
        return shared
    leaves = [event for event in events if event["event"] == "test" and event.get("network") == "leaves"]
    return {row["genotype"]: row["validation_accuracy"] for event in leaves for row in event["leaves"]}
