"""Latency prediction from some measured networks of a device, tested on all other networks of the table."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy

from benchmarks.results import ResultsFile, Row, machine
from nasengine import registry
from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph, cost
from nasengine.protocols import Prediction, Predictor
from predictors.latency.evaluation import LatencyErrors
from predictors.latency.latency_predictor import LatencyPredictor, features_of
from predictors.latency.measurements import Measurements, read_measurements
from predictors.latency.trend import Trend

FILE = "nasbench201_hardware.csv.gz"
DEVICES = ("raspi4", "edgegpu", "edgetpu")
KEY = ("benchmark", "device", "labels", "method", "seed")
FIGURES = ("spearman_rho", "within_10_percent", "median_relative_error", "coverage_90", "runs_right")


class CostLine:
    """A straight line on one cost of a network: what counting gives without any care."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.line, self.error = numpy.zeros(2), 0.0

    def fit(self, graphs: Sequence[ComputationGraph], targets: Sequence[float]) -> None:
        """Ordinary least squares: relative ones follow the few tiny networks, and the line then falls."""
        values = numpy.array(targets)
        columns = self._columns(graphs)
        runs = ~numpy.isnan(values)
        self.line = numpy.linalg.lstsq(columns[runs], values[runs], rcond=None)[0]
        self.error = float(numpy.std(columns[runs] @ self.line / values[runs]))

    def predict(self, graphs: Sequence[ComputationGraph]) -> Prediction:
        """The line."""
        mean = self._columns(graphs) @ self.line
        return Prediction(mean, self.error * mean)

    def _columns(self, graphs: Sequence[ComputationGraph]) -> numpy.ndarray:
        return numpy.array([[1.0, getattr(cost(graph), self.name) / 1e6] for graph in graphs])


class PricesOnly:
    """The trend without the process: non-negative prices of sorts of work, as a look-up by operator has them."""

    def fit(self, graphs: Sequence[ComputationGraph], targets: Sequence[float]) -> None:
        """Find prices."""
        values = numpy.array(targets)
        runs = ~numpy.isnan(values)
        work = features_of(graphs)[0][runs]
        self.trend = Trend.fit(work, values[runs])
        self.error = float(numpy.std(self.trend.predict(work) / values[runs]))

    def predict(self, graphs: Sequence[ComputationGraph]) -> Prediction:
        """The trend."""
        mean = self.trend.predict(features_of(graphs)[0])
        return Prediction(mean, self.error * mean)


METHODS: Mapping[str, Callable[[], Predictor]] = MappingProxyType({
    "ours": LatencyPredictor,
    "prices": PricesOnly,
    "macs": lambda: CostLine("macs"),
    "parameters": lambda: CostLine("num_parameters"),
})  # fmt: skip


def run(
    folder: Path, results: ResultsFile, *, devices: list[str], labels: list[int], seeds: list[int]
) -> Iterator[Row]:
    """A row for each device, number of labels, method and seed; those of the results file come from there.

    Raises:
        ConfigError: an unknown device, or a table that cannot be read.
    """
    unknown = [name for name in devices if name not in DEVICES]
    if unknown:
        raise ConfigError(f"--devices: expected some of {', '.join(DEVICES)}, got {', '.join(unknown)}")
    known: dict[str, Measurements] = {}
    for device in devices:
        for count in labels:
            for seed in seeds:
                for method in METHODS:
                    key = {"benchmark": "latency", "device": device, "labels": count, "method": method, "seed": seed}
                    row = results.find(**key)
                    if row is None:
                        if device not in known:
                            known[device] = _measurements(folder, device)
                        row = {**key, **_figures(known[device], count, METHODS[method](), seed), "machine": machine()}
                        results.append(row)
                    yield row


def _measurements(folder: Path, device: str) -> Measurements:
    space = registry.load("search space", "nasbench201")
    return read_measurements(
        folder / FILE, "arch", f"{device}_latency_ms", lambda text: space.to_graph(space.parse(text), space.defaults)
    )


def _figures(known: Measurements, count: int, predictor: Predictor, seed: int) -> Row:
    order = numpy.random.default_rng(seed).permutation(len(known.graphs))
    values = numpy.array(known.milliseconds)
    chosen, others = order[:count], order[count:]
    begin = time.perf_counter()
    predictor.fit([known.graphs[index] for index in chosen], values[chosen].tolist())
    seconds = time.perf_counter() - begin
    prediction = predictor.predict([known.graphs[index] for index in others])
    figures = LatencyErrors.of(prediction, values[others]).rounded()
    return {"column": "latency_ms", "rows": len(others), **figures, "fit_seconds": round(seconds, 2)}


def summary(rows: list[Row]) -> list[tuple[str, ...]]:
    """Mean and spread over the seeds of each device, number of labels and method."""
    groups: dict[tuple[str, int, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["device"], row["labels"], row["method"]), []).append(row)
    return [(key[0], str(key[1]), key[2], *(_mean(own, name) for name in FIGURES)) for key, own in groups.items()]


def _mean(rows: list[Row], name: str) -> str:
    values = [row[name] for row in rows]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.3f} +- {spread:.3f}"
