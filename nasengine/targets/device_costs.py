"""What networks cost on a target, before they are trained and exported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph, cost, prune
from nasengine.protocols import LatencyModel
from nasengine.targets.constraints import Constraint, Constraints
from nasengine.targets.target import DataType, Target

BYTES = {"float32": 4, "float16": 2, "int8": 1}
BYTES_OF_NODE: dict[DataType, int] = {"float32": 200, "float16": 200, "int8": 100}
BYTES_OF_CHANNEL: dict[DataType, int] = {"float32": 0, "float16": 0, "int8": 8}
BYTES_OF_FILE = 4096
CROP_SHARE = 1.15
"""Exporters cut crops out of a value in two steps, which are alive together."""


@dataclass(frozen=True, slots=True)
class DeviceCost:
    """Of one network.

    Args:
        metrics: by the names of ``METRICS``; latency only where a model knows it.
        latency_std_ms: deviation of the predicted latency; None without one.
    """

    metrics: dict[str, float]
    latency_std_ms: float | None = None


@dataclass(frozen=True, eq=False)
class Device:
    """A target, the limits of a run on it, and what predicts latency there.

    Args:
        target: the device.
        constraints: its own limits and those that the user has.
        latency: None where nothing is known.

    Raises:
        ConfigError: a limit on latency, and no model that knows it.
    """

    target: Target
    constraints: Constraints
    latency: LatencyModel | None = None

    def __post_init__(self) -> None:
        limited = {entry.metric for entry in self.constraints.limits}
        if "latency_ms" in limited and self.latency is None:
            raise ConfigError(
                f"target {self.target.name}: expected one whose latency is known for --max-latency-ms, got one without "
                "a latency model; measure some networks there and run 'nasengine target fit', or leave the limit out"
            )

    def costs(self, graphs: Sequence[ComputationGraph]) -> list[DeviceCost]:
        """Costs of networks as they are exported, with one output."""
        deployed = [prune(graph, graph.outputs[:1]) for graph in graphs]
        data_type = self.target.data_types[0]
        found = [
            {
                "model_bytes": float(file_bytes(graph, data_type)),
                "peak_bytes": float(_peak_bytes(graph, data_type)),
                "macs": float(cost(graph).macs),
                "num_parameters": float(cost(graph).num_parameters),
            }
            for graph in deployed
        ]
        if self.latency is None:
            return [DeviceCost(metrics) for metrics in found]
        latency = self.latency.predict(deployed)
        return [
            DeviceCost({"latency_ms": float(mean), **metrics}, float(std))
            for metrics, mean, std in zip(found, latency.mean, latency.std, strict=True)
        ]


def limits_of(target: Target, own: Mapping[str, int | float | None]) -> Constraints:
    """The limits of a target and of a user; where both have one, the smaller counts.

    Args:
        target: the device.
        own: limits by metric, None for none.
    """
    device = target.limits.model_dump(exclude_none=True)
    wanted = {name: value for name, value in own.items() if value is not None}
    every = {name: min(values) for name in {**device, **wanted}
             if (values := [part[name] for part in (device, wanted) if name in part])}  # fmt: skip
    return Constraints(tuple(Constraint(name, float(every[name])) for name in sorted(every)))


def file_bytes(graph: ComputationGraph, data_type: DataType) -> int:
    """At most so large will the ONNX file be, labels and genotype of usual lengths included.

    Every node takes its names and attributes, and every channel of an int8 convolution a scale and a bias.
    """
    channels = sum(node.output_shape[0] for node in graph.operations if node.kind in ("conv", "linear"))
    norms = sum(2 * node.output_shape[0] for node in graph.operations if node.kind == "batch_norm")
    values = (cost(graph).num_parameters + norms) * BYTES[data_type]
    return values + BYTES_OF_CHANNEL[data_type] * channels + BYTES_OF_NODE[data_type] * len(graph) + BYTES_OF_FILE


def _peak_bytes(graph: ComputationGraph, data_type: DataType) -> int:
    values = cost(graph).peak_activation_bytes // BYTES["float32"] * BYTES[data_type]
    return int(values * CROP_SHARE) if any(node.kind == "crop" for node in graph.operations) else values
