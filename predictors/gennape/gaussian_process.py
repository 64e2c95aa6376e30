"""A Gaussian process on colours and columns (Rasmussen and Williams, 2006): the strongest member with few labels.

The kernel is a sum of two: one of the Weisfeiler-Leman colours (Shervashidze et al., 2011; for NAS Ru et al., 2021,
arXiv 2006.07556), and one of the colours and all columns together. Every column has a scale of its own ("automatic
relevance determination"), found by marginal likelihood with a prior that keeps them alike when labels are few.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy
import scipy.linalg
import scipy.optimize
import scipy.sparse

from predictors.gennape.inputs import MemberInputs, distinct_columns
from predictors.gennape.kernels import (
    colour_distances,
    normal_scores,
    rational_quadratic,
    root_counts,
    squared_distances,
)
from predictors.gennape.member import fitted

BLOCK = 1024
JITTER = 1e-6


@dataclass(frozen=True, eq=False)
class Points:
    """Networks as the kernel sees them: columns (num_networks, num_columns), and colours by round."""

    columns: numpy.ndarray
    colours: list[scipy.sparse.csr_array]


@dataclass(frozen=True, eq=False)
class Layout:
    """Places of the kernel's logarithmic parameters.

    They are: size of the first kernel, weights of its rounds; the same of the second kernel; scales; noise.

    Args:
        num_rounds: rounds of colours.
        group: of each column, which scale it has, (num_columns,).
        share: of each column, 1 / columns of its block, (num_columns,).
    """

    num_rounds: int
    group: numpy.ndarray
    share: numpy.ndarray

    @property
    def second(self) -> int:
        """Place of the second kernel's size."""
        return 1 + self.num_rounds

    @property
    def scales(self) -> slice:
        """Places of the scales."""
        return slice(2 * self.second, 2 * self.second + int(self.group.max(initial=-1)) + 1)

    def prior(self, spread: float) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Mean and standard deviation of all parameters, (num_parameters,) each."""
        mean, std = numpy.zeros(self.scales.stop + 1), numpy.full(self.scales.stop + 1, spread)
        mean[[0, self.second]], std[[0, self.second]] = -numpy.log(2), 1.5
        mean[-1], std[-1] = -3.0, 1.5
        return mean, std

    def kernel(self, theta: numpy.ndarray, some: Points, others: Points) -> numpy.ndarray:
        """Covariances, (num_some, num_others)."""
        rounds = colour_distances(some.colours, others.colours)
        factors = self.factors(theta)
        columns = squared_distances(some.columns * factors, others.columns * factors)
        return self.both(theta, rounds, columns)[0]

    def factors(self, theta: numpy.ndarray) -> numpy.ndarray:
        """What each column is multiplied by."""
        return numpy.exp(theta[self.scales])[self.group] * numpy.sqrt(self.share)

    def both(
        self, theta: numpy.ndarray, rounds: numpy.ndarray, columns: numpy.ndarray
    ) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray]:
        """The sum of the kernels, each kernel, and their derivatives by their distance."""
        amounts = numpy.exp(theta[[0, self.second]])
        weights = numpy.exp(theta[1 : self.second]), numpy.exp(theta[self.second + 1 : self.scales.start])
        distances = [numpy.tensordot(found, rounds, 1) / max(1, self.num_rounds) for found in weights]
        first, first_slope = rational_quadratic(distances[0] + numpy.zeros_like(columns))
        second, second_slope = rational_quadratic(distances[1] + columns)
        first, second = amounts[0] * first, amounts[1] * second
        return first + second, first, second, amounts[0] * first_slope, amounts[1] * second_slope


@dataclass(frozen=True, eq=False)
class Posterior:
    """What was learnt: labelled networks, kernel, and the weights of the labels."""

    kept: numpy.ndarray
    points: Points
    layout: Layout
    theta: numpy.ndarray
    root: numpy.ndarray
    alpha: numpy.ndarray


class GaussianProcess:
    """Implements Member.

    Args:
        spread: standard deviation of the prior of logarithmic scales; 0 makes all scales 1.
        steps: of the search for the kernel's parameters, at most.
        num_features: how many of the features it sees; None for all. Fewer are better with few labels.
    """

    def __init__(self, spread: float = 0.6, steps: int = 40, num_features: int | None = None) -> None:
        self.spread = spread
        self.steps = steps
        self.num_features = num_features
        self._posterior: Posterior | None = None

    def fit(self, inputs: MemberInputs, targets: numpy.ndarray, seed: int = 0) -> None:
        """Find the kernel's parameters and the posterior; nothing is random."""
        kept = distinct_columns(inputs.columns(self.num_features))
        points = _points(inputs, kept, self.num_features)
        embedded = points.columns.shape[1] - len(kept)
        layout = Layout(
            len(points.colours),
            numpy.array([*range(len(kept)), *[len(kept)] * embedded], int),
            numpy.array([*[1 / max(1, len(kept))] * len(kept), *[1 / max(1, embedded)] * embedded]),
        )
        theta = maximum_posterior(layout, points, targets, self)
        covariance = layout.kernel(theta, points, points)
        root = _root(covariance, theta)
        self._posterior = Posterior(kept, points, layout, theta, root, scipy.linalg.cho_solve((root, True), targets))

    def predict(self, inputs: MemberInputs) -> tuple[numpy.ndarray, numpy.ndarray | None]:
        """Mean and standard deviation of the label, noise included, (num_networks,) each.

        Raises:
            ConfigError: called before ``fit``.
        """
        known = fitted(self._posterior)
        prior = numpy.exp(known.theta[[0, known.layout.second, -1]]).sum()
        means, stds = [], []
        for begin in range(0, len(inputs), BLOCK):
            points = _points(inputs[begin : begin + BLOCK], known.kept, self.num_features)
            covariance = known.layout.kernel(known.theta, points, known.points)
            explained = scipy.linalg.solve_triangular(known.root, covariance.T, lower=True, check_finite=False)
            means.append(covariance @ known.alpha)
            stds.append(numpy.sqrt((prior - (explained**2).sum(0)).clip(min=JITTER)))
        return numpy.concatenate(means or [numpy.zeros(0)]), numpy.concatenate(stds or [numpy.zeros(0)])

    def tensors(self) -> Mapping[str, numpy.ndarray]:
        """Everything, as named arrays; colours as the three arrays of a sparse matrix."""
        known = fitted(self._posterior)
        found = {
            "kept": known.kept, "columns": known.points.columns, "theta": known.theta, "root": known.root,
            "alpha": known.alpha, "group": known.layout.group, "share": known.layout.share,
            "num_features": numpy.array(-1 if self.num_features is None else self.num_features),
        }  # fmt: skip
        for number, colours in enumerate(known.points.colours):
            size = numpy.array(colours.shape)
            found |= {f"colours{number}.{name}": part for name, part in
                      zip(("data", "indices", "indptr", "shape"), (colours.data, colours.indices, colours.indptr, size),
                          strict=True)}  # fmt: skip
        return found

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, numpy.ndarray]) -> "GaussianProcess":
        """Back from named arrays."""
        colours: list[scipy.sparse.csr_array] = []
        while f"colours{len(colours)}.data" in tensors:
            data, indices, indptr, shape = (
                tensors[f"colours{len(colours)}.{name}"] for name in ("data", "indices", "indptr", "shape")
            )
            colours.append(scipy.sparse.csr_array((data, indices, indptr), shape=tuple(shape.tolist())))
            colours[-1].check_format(full_check=True)  # the file may come from anywhere
        layout = Layout(len(colours), tensors["group"], tensors["share"])
        points = Points(tensors["columns"], colours)
        num_features = int(tensors["num_features"])
        member = cls(num_features=None if num_features < 0 else num_features)
        member._posterior = Posterior(
            tensors["kept"], points, layout, tensors["theta"], tensors["root"], tensors["alpha"]
        )
        return member


def maximum_posterior(
    layout: Layout, points: Points, targets: numpy.ndarray, settings: GaussianProcess
) -> numpy.ndarray:
    """Parameters of the kernel that explain the targets best, given their prior."""
    mean, std = layout.prior(settings.spread)
    free = std > 0
    rounds = colour_distances(points.colours, points.colours)
    rounds = rounds.reshape(layout.num_rounds, len(targets), len(targets))

    def loss(values: numpy.ndarray) -> tuple[float, numpy.ndarray]:
        theta = mean.copy()
        theta[free] = values
        value, slope = negative_log_likelihood(layout, theta, points, (rounds, targets))
        away = (theta - mean)[free] / std[free]
        return value + 0.5 * float(away @ away), slope[free] + away / std[free]

    bounds = numpy.stack([mean - 5, mean + 5], 1)[free]
    found = scipy.optimize.minimize(
        loss, mean[free], jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": settings.steps}
    )
    theta = mean.copy()
    theta[free] = found.x
    return theta


def negative_log_likelihood(
    layout: Layout, theta: numpy.ndarray, points: Points, data: tuple[numpy.ndarray, numpy.ndarray]
) -> tuple[float, numpy.ndarray]:
    """Minus the logarithm of the marginal likelihood, less its constant, and its gradient.

    Args:
        layout: places of the parameters.
        theta: logarithmic parameters of the kernel.
        points: labelled networks.
        data: distances of their colours by round, and their targets.
    """
    rounds, targets = data
    factors = layout.factors(theta)
    scaled = points.columns * factors
    total, first, second, first_slope, second_slope = layout.both(theta, rounds, squared_distances(scaled, scaled))
    root = _root(total, theta)
    inverse = scipy.linalg.cho_solve((root, True), numpy.eye(len(targets)), check_finite=False)
    alpha = inverse @ targets
    value = 0.5 * float(targets @ alpha) + float(numpy.log(numpy.diag(root)).sum())
    by_covariance = 0.5 * (inverse - numpy.outer(alpha, alpha))
    by_first, by_second = by_covariance * first_slope, by_covariance * second_slope
    weights = numpy.exp(theta) / max(1, layout.num_rounds)
    slope = numpy.zeros_like(theta)
    slope[0], slope[layout.second] = (by_covariance * first).sum(), (by_covariance * second).sum()
    for number, distances in enumerate(rounds):
        for place, by in ((1 + number, by_first), (layout.second + 1 + number, by_second)):
            slope[place] = weights[place] * float((by * distances).sum())
    each = 4 * (by_second.sum(1) @ scaled**2 - (scaled * (by_second @ scaled)).sum(0))
    slope[layout.scales] = numpy.bincount(layout.group, each, layout.scales.stop - layout.scales.start)
    slope[-1] = numpy.exp(theta[-1]) * float(numpy.trace(by_covariance))
    return value, slope


def _root(covariance: numpy.ndarray, theta: numpy.ndarray) -> numpy.ndarray:
    noisy = covariance + (numpy.exp(theta[-1]) + JITTER) * numpy.eye(len(covariance))
    return scipy.linalg.cholesky(noisy, lower=True, check_finite=False)


def _points(inputs: MemberInputs, kept: numpy.ndarray, num_features: int | None) -> Points:
    columns = normal_scores(inputs.columns(num_features)[:, kept])
    if inputs.embedding is not None:
        columns = numpy.hstack([columns, inputs.embedding])
    return Points(columns, root_counts(inputs))
