"""What a target's latency model says of a network, for its card."""

import math
from pathlib import Path

from export.card import PredictedLatency
from export.operator_table import OperatorTable
from nasengine.assembly import load_latency
from nasengine.graph import ComputationGraph
from nasengine.targets import Target


def predicted_latency(target: Target | None, graph: ComputationGraph) -> PredictedLatency | None:
    """By the model or table that a target names; None where it names none, or the device is measured itself.

    Args:
        target: a device.
        graph: of the network as it is exported.

    Raises:
        ConfigError: the model is missing or malformed.
    """
    model = None if target is None or target.latency is None else target.latency.model
    if target is None or model is None:
        return None
    latency = load_latency(target)
    if latency is None:
        return None
    found = latency.predict([graph])
    mean, deviation = float(found.mean[0]), float(found.std[0])
    if not math.isfinite(mean):
        return None
    by = f"the latency model {Path(model).name}"
    if isinstance(latency, OperatorTable):
        by = f"the operator table {Path(model).name}, measured on {latency.content.machine.cpu}"
    return PredictedLatency(latency_ms=mean, by=by, within_percent=100 * deviation / mean if mean > 0 else None)
