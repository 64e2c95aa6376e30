"""What a target's latency model says of a network, for its card."""

from pathlib import Path

from export.card import PredictedLatency
from export.operator_table import OperatorTable
from nasengine.graph import ComputationGraph
from nasengine.targets import Target

TABLE_SUFFIX = ".json"


def predicted_latency(target: Target | None, graph: ComputationGraph) -> PredictedLatency | None:
    """By the look-up table that a target names; None where it names none, or the device is measured itself.

    Args:
        target: a device.
        graph: of the network as it is exported.

    Raises:
        ConfigError: the table is missing or malformed.
    """
    model = None if target is None or target.latency is None else target.latency.model
    if model is None or not model.endswith(TABLE_SUFFIX):
        return None
    table = OperatorTable.read(Path(model))
    found = table.predict([graph])
    mean, deviation = float(found.mean[0]), float(found.std[0])
    by = f"the operator table {Path(model).name}, measured on {table.content.machine.cpu}"
    return PredictedLatency(latency_ms=mean, by=by, within_percent=100 * deviation / mean if mean > 0 else None)
