"""A Gaussian process on what graphs cost and contain: for searches that have measured a few dozen architectures.

Rasmussen and Williams, 2006, chapters 2 and 5, with a Matern kernel (nu = 3/2) on whole-graph features and on counts of
neighbourhoods (Ru et al., 2021, arXiv 2006.07556); both weigh the same. Length scale and noise maximise the marginal
likelihood over a grid, the amplitude in closed form.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy

from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph
from nasengine.protocols import Prediction
from predictors.graph_batch import GraphBatch
from predictors.graph_features import graph_features
from predictors.labels import checked_labels
from predictors.surroundings import surroundings

_LENGTHS = (0.5, 1.0, 2.0, 4.0)
_NOISES = (1e-3, 1e-2, 1e-1, 1.0)
_SMALLEST_VARIANCE = 1e-9
_CHUNK = 2_000

FeatureBlocks = tuple[numpy.ndarray, ...]
"""Numbers about graphs, in blocks that weigh the same, (num_graphs, num_features) each."""


def feature_blocks(graphs: Sequence[ComputationGraph]) -> FeatureBlocks:
    """Whole-graph features and neighbourhoods; memory beyond the answer does not grow with the number of graphs."""
    chunks = []
    for start in range(0, len(graphs), _CHUNK):
        batch = GraphBatch.of(graphs[start : start + _CHUNK])
        chunks.append((graph_features(batch), surroundings(batch)))
    return tuple(numpy.vstack(blocks) for blocks in zip(*chunks, strict=True))


class GraphGaussianProcess:
    """Implements the Predictor protocol.

    Args:
        features: of graphs; a caller that asks for the same graphs again may remember them here.

    >>> from search_spaces.nasbench_macro import NASBENCH_MACRO as space
    >>> graphs = [space.to_graph(space.parse(text), space.defaults) for text in ("00000000", "11111111", "22222222")]
    >>> predictor = GraphGaussianProcess()
    >>> predictor.fit(graphs, [0.5, 0.9, 0.93])
    >>> bool((predictor.predict(graphs).mean.argsort() == [0, 1, 2]).all())
    True
    """

    def __init__(self, features: Callable[[Sequence[ComputationGraph]], FeatureBlocks] = feature_blocks) -> None:
        self.features = features
        self._fit: _Fit | None = None

    def fit(self, graphs: Sequence[ComputationGraph], targets: Sequence[float]) -> None:
        """Learn from measured graphs; what was learned before is forgotten.

        Raises:
            ConfigError: fewer than three graphs, or another number of targets, or a target that is not finite.
        """
        values = checked_labels(graphs, targets, minimum=3)
        warp = _Warp.of(values)
        blocks = self.features(graphs)
        scales = [_scale(block) for block in blocks]
        self._fit = _posterior(_scaled(blocks, scales), warp.apply(values), scales, warp)

    def predict(self, graphs: Sequence[ComputationGraph]) -> Prediction:
        """Score graphs, with the standard deviation of the posterior.

        Raises:
            ConfigError: called before ``fit``.
        """
        found = self._fit
        if found is None:
            raise ConfigError("predictor: expected fit() before predict()")
        kernel = _matern(_distances(_scaled(self.features(graphs), found.scales), found.points), found.length)
        variance = 1.0 - ((kernel @ found.inverse_root.T.astype(numpy.float32)) ** 2).sum(axis=1, dtype=float)
        std = numpy.sqrt(found.amplitude * numpy.maximum(variance, _SMALLEST_VARIANCE))
        return found.warp.undo(kernel @ found.weights, std)


@dataclass(frozen=True)
class _Warp:
    """Targets as ``-log`` of their distance to a bound above the best, normalised.

    Accuracies crowd near the top, where searches have to tell them apart, and poor ones lie far below.
    """

    top: float
    unit: float
    mean: float
    std: float

    @classmethod
    def of(cls, values: numpy.ndarray) -> "_Warp":
        low, high = numpy.quantile(values, (0.25, 0.75))
        unit = float(high - low) or float(numpy.ptp(values)) or 1.0
        raw = cls(float(values.max()) + unit, unit, 0.0, 1.0).apply(values)
        return cls(float(values.max()) + unit, unit, float(raw.mean()), float(raw.std()) or 1.0)

    def apply(self, values: numpy.ndarray) -> numpy.ndarray:
        return (-numpy.log((self.top - values) / self.unit) - self.mean) / self.std

    def undo(self, mean: numpy.ndarray, std: numpy.ndarray) -> Prediction:
        """Back to the units of the targets; the spread to first order."""
        distance = self.unit * numpy.exp(-(mean * self.std + self.mean))
        return Prediction(self.top - distance, distance * std * self.std)


@dataclass(frozen=True)
class _Fit:
    """``points`` are the scaled training features, ``inverse_root`` is the inverse of the kernel's Cholesky factor."""

    points: numpy.ndarray
    weights: numpy.ndarray
    inverse_root: numpy.ndarray
    length: float
    amplitude: float
    scales: list[numpy.ndarray]
    warp: _Warp


def _posterior(points: numpy.ndarray, values: numpy.ndarray, scales: list[numpy.ndarray], warp: _Warp) -> _Fit:
    distances = _distances(points.astype(float), points.astype(float))
    best, chosen = -math.inf, (_LENGTHS[0], _NOISES[0], 1.0)
    for length in _LENGTHS:
        eigenvalues, vectors = numpy.linalg.eigh(_matern(distances, length))
        squares = (vectors.T @ values) ** 2
        for noise in _NOISES:
            spectrum = numpy.maximum(eigenvalues, 0.0) + noise
            amplitude = float((squares / spectrum).mean())
            likelihood = -float(numpy.log(spectrum).sum()) - len(values) * math.log(amplitude + _SMALLEST_VARIANCE)
            if likelihood > best:
                best, chosen = likelihood, (length, noise, amplitude)
    length, noise, amplitude = chosen
    root = numpy.linalg.cholesky(_matern(distances, length) + noise * numpy.eye(len(values)))
    inverse_root = numpy.linalg.inv(root)
    return _Fit(points, inverse_root.T @ (inverse_root @ values), inverse_root, length, amplitude, scales, warp)


def _matern(distances: numpy.ndarray, length: float) -> numpy.ndarray:
    scaled = distances * (math.sqrt(3) / length)
    return (1.0 + scaled) * numpy.exp(-scaled)


def _scale(block: numpy.ndarray) -> numpy.ndarray:
    """Factor of each feature: all vary equally, blocks have a mean squared distance of 1, constants drop out."""
    spread = block.std(axis=0)
    varies = spread > 1e-6 * (numpy.abs(block).mean(axis=0) + 1e-6)
    factors = numpy.where(varies, 1.0 / numpy.where(varies, spread, 1.0), 0.0)
    return (factors / math.sqrt(2 * max(int(varies.sum()), 1))).astype(numpy.float32)


def _scaled(blocks: FeatureBlocks, scales: list[numpy.ndarray]) -> numpy.ndarray:
    """Features that vary, in single precision: prediction for many graphs is bound by memory."""
    parts = []
    for block, scale in zip(blocks, scales, strict=True):
        used = scale > 0
        chosen, factors = (block, scale) if used.all() else (block[:, used], scale[used])
        parts.append(numpy.multiply(chosen, factors, dtype=numpy.float32, casting="same_kind"))
    return numpy.hstack(parts)


def _distances(first: numpy.ndarray, second: numpy.ndarray) -> numpy.ndarray:
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2.0 * (first @ second.T)
    return numpy.sqrt(numpy.maximum(squares, 0.0))
