"""Latency of networks that are not trained yet, measured on this machine: the latency model of targets that are it."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy

from export.latency import measure
from export.operator_files import write_network
from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph
from nasengine.protocols import Prediction

NORMAL_QUANTILE = 1.6449


class MeasuredLatency:
    """Writes each network with random weights, runs it in onnxruntime and takes the median.

    Args:
        threads: of the runtime.
        runs: of each network.
    """

    def __init__(self, threads: int = 1, runs: int = 50) -> None:
        self.threads, self.runs = threads, runs

    def predict(self, graphs: Sequence[ComputationGraph]) -> Prediction:
        """Median milliseconds of one image, and the deviation that the 95 % percentile stands for.

        Raises:
            ConfigError: a network without an input.
            ExportError: an operation that cannot be written.
        """
        rows = [self._measure(graph) for graph in graphs]
        mean, std = numpy.array(rows).reshape(-1, 2).T
        return Prediction(mean, std)

    def _measure(self, graph: ComputationGraph) -> tuple[float, float]:
        shapes = [graph.operations[node].output_shape for node in graph.input_indices]
        if len(shapes) != 1:
            raise ConfigError(f"measured latency: expected a network with one input, got {len(shapes)}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            write_network(graph, path)
            (found,) = measure([path], shape=shapes[0], threads=self.threads, runs=self.runs, with_memory=False)
        return found.p50_ms, max(0.0, found.p95_ms - found.p50_ms) / NORMAL_QUANTILE
