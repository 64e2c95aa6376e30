"""Latency on one device, in milliseconds, from a hundred networks that were measured there.

A trend of non-negative costs (each operation of a sort, each multiply-accumulate, each value moved) says what networks
of any space cost at least roughly; a Gaussian process learns what it leaves over. Errors are taken to be in proportion
to the latency, as those of clocks are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch

from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph
from nasengine.protocols import Prediction, TaskState
from predictors.gennape.storage import read_state, save_state
from predictors.graph_batch import GraphBatch
from predictors.labels import checked_labels
from predictors.latency.executed import Execution
from predictors.latency.features import PLACE_NAMES, WORK_NAMES, place_features, work_features
from predictors.latency.process import Process
from predictors.latency.trend import Trend

FEWEST_LABELS = 20
CHUNK = 2000
LEAST_SHARE = 0.1
LARGEST_DOUBT = 0.4
"""Deviation of the score from 0 to 1 up to which a network is refused; nobody knows about stranger ones."""
STRANGE_ERROR = 0.5
"""Of the trend, as a share of the latency, for networks unlike all that were measured."""
NUM_WORK = len(WORK_NAMES)
NUM_COLUMNS = NUM_WORK + len(PLACE_NAMES)
KIND = "latency predictor"

Features = Callable[[Sequence[ComputationGraph]], tuple[numpy.ndarray, ...]]
"""Gives work and all columns of graphs, as ``features_of`` does."""


class LatencyPredictor:
    """Implements the Predictor protocol; targets and means are milliseconds.

    Networks that the device could not run have the label ``nan``; the predictor learns which, and predicts ``inf``.

    Args:
        about: where the labels are from: device, table, rows; stored with it.
        features: of graphs, ``features_of`` by default; a caller that asks for the same graphs again may remember them.

    >>> import random
    >>> from nasengine.graph import cost
    >>> from search_spaces.nasbench201 import NASBENCH201 as space
    >>> rng = random.Random(0)
    >>> graphs = [space.to_graph(space.sample(rng), space.defaults) for _ in range(40)]
    >>> predictor = LatencyPredictor()
    >>> labels = [1 + cost(graph).macs / 1e7 for graph in graphs]
    >>> predictor.fit(graphs[:30], labels[:30])
    >>> bool(sorted(abs(predictor.predict(graphs[30:]).mean / labels[30:] - 1))[5] < 0.1)
    True
    """

    def __init__(self, about: dict[str, Any] | None = None, features: Features | None = None) -> None:
        self.about = dict(about or {})
        self.features: Features = features or features_of
        self._found: _Fit | None = None

    def fit(self, graphs: Sequence[ComputationGraph], targets: Sequence[float]) -> None:
        """Learn from measured networks; what was learned before is forgotten.

        Raises:
            ConfigError: fewer than 20 networks that run, or a label that is neither positive nor ``nan``.
        """
        values = numpy.asarray(targets, float)
        runs = ~numpy.isnan(values)
        checked_labels(graphs, numpy.where(runs, values, 1.0).tolist(), minimum=FEWEST_LABELS)
        if (values[runs] <= 0).any() or runs.sum() < FEWEST_LABELS:
            raise ConfigError(
                f"latency labels: expected at least {FEWEST_LABELS} above 0 ms, got {int((values > 0).sum())} of "
                f"{len(values)}; measure more networks"
            )
        work, columns = self.features(graphs)
        share = float(runs.mean())
        compiles = None if runs.all() else Process.fit(columns, runs - share, numpy.ones(len(runs)))
        work, columns, values = work[runs], columns[runs], values[runs]
        trend = Trend.fit(work, values)
        process = Process.fit(columns, values - trend.predict(work), values**2)
        scale = float(numpy.sqrt((values**2).mean()))
        self._found = _Fit(trend, process, scale, process.spread(), compiles, share)

    def predict(self, graphs: Sequence[ComputationGraph]) -> Prediction:
        """Milliseconds and their standard deviation, which grows with the share of work that was never measured.

        Raises:
            ConfigError: called before ``fit``.
        """
        found = self._fitted()
        work, columns = self.features(graphs)
        trend, strange = found.trend.predict(work), found.trend.share_of_strange(work)
        left, deviation = found.process.predict(columns)
        # Far from what was measured the process knows less than the trend, and has less of a say.
        doubt = STRANGE_ERROR * trend
        left *= numpy.minimum(1.0, doubt / numpy.maximum(deviation, 1e-12)) ** 2
        mean = numpy.maximum(trend + left, LEAST_SHARE * trend)
        std = numpy.hypot(numpy.minimum(deviation, doubt), found.noise * mean) * found.spread + strange * mean
        if found.compiles is not None:
            score, doubt = found.compiles.predict(columns)
            mean[(score + found.share_that_runs < 0.5) & (doubt < LARGEST_DOUBT)] = numpy.inf
        return Prediction(mean, std)

    @property
    def num_labels(self) -> int:
        """Networks that it learned from and that run."""
        return len(self._fitted().process.points)

    def save(self, path: Path) -> None:
        """Write one safetensors file."""
        found = self._fitted()
        tensors = {f"process.{name}": part for name, part in found.process.tensors().items()}
        if found.compiles is not None:
            tensors |= {f"compiles.{name}": part for name, part in found.compiles.tensors().items()}
        tensors |= {"costs": torch.from_numpy(found.trend.costs), "seen": torch.from_numpy(found.trend.seen)}
        save_state(path, TaskState(tensors, {
            "kind": KIND, "about": self.about, "scale": found.scale, "spread": found.spread,
            "share_that_runs": found.share_that_runs,
        }))  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> "LatencyPredictor":
        """Read one back.

        Raises:
            ConfigError: the file is missing, too large, or no latency predictor of this version.
        """
        state = read_state(path)
        try:
            values, tensors = state.values, state.tensors
            if values["kind"] != KIND or not isinstance(values["about"], dict):
                raise ValueError("a file of another kind")
            trend = Trend(tensors["costs"].numpy(), tensors["seen"].numpy())
            trend.check()
            process = Process.from_tensors(_under("process", tensors), NUM_COLUMNS)
            parts = _under("compiles", tensors)
            compiles = Process.from_tensors(parts, NUM_COLUMNS) if parts else None
            numbers = [float(values[name]) for name in ("scale", "spread", "share_that_runs")]
            if not numpy.isfinite(numbers).all() or numbers[0] <= 0:
                raise ValueError("numbers that are not finite")
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            raise ConfigError(f"{path}: expected a latency predictor of this version, got {fault}") from fault
        predictor = cls(values["about"])
        predictor._found = _Fit(trend, process, numbers[0], numbers[1], compiles, numbers[2])
        return predictor

    def _fitted(self) -> "_Fit":
        if self._found is None:
            raise ConfigError("latency predictor: expected fit() before it is used")
        return self._found


@dataclass(frozen=True, eq=False)
class _Fit:
    """What was learnt; ``scale`` is the root mean square of the labels, ``spread`` widens what the process states."""

    trend: Trend
    process: Process
    scale: float
    spread: float
    compiles: Process | None
    share_that_runs: float

    @property
    def noise(self) -> float:
        """Standard deviation of a measurement as a share of the latency."""
        return float(numpy.exp(self.process.theta[3] / 2)) * self.process.unit / self.scale


def features_of(graphs: Sequence[ComputationGraph]) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Work of networks, and all columns; memory beyond the answer does not grow with the number of networks."""
    work, columns = [numpy.zeros((0, NUM_WORK))], [numpy.zeros((0, NUM_COLUMNS))]
    for begin in range(0, len(graphs), CHUNK):
        execution = Execution.of(GraphBatch.of(graphs[begin : begin + CHUNK], fold_batch_norms=True))
        work.append(work_features(execution))
        columns.append(numpy.hstack([work[-1], place_features(execution)]))
    return numpy.vstack(work), numpy.vstack(columns)


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): found for name, found in tensors.items() if name.startswith(start)}
