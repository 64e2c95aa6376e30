"""A Gaussian process on what a trend leaves over, for labels whose errors grow with them.

Rasmussen and Williams, 2006, chapters 2 and 5. The kernel is a sum of a linear one, since times of operations add up,
and a rational quadratic one, since fusing and caches do not add up. Every column has a scale of its own in both, found
by marginal likelihood with a prior that keeps them alike when labels are few.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy
import scipy.linalg
import scipy.optimize
import torch
from torch import Tensor

BOUND, STEPS = 5.0, 60
SPREAD, WIDE_SPREAD, LOG_NOISE = 0.6, 1.5, -4.0
JITTER, LEAST_NOISE_SHARE = 1e-5, 0.02
CHUNK = 4096
NORMAL_QUANTILE = 1.6449
NAMES = ("kept", "mean", "factor", "points", "values", "share", "theta", "unit")


@dataclass(frozen=True, eq=False)
class Scaling:
    """Columns as the kernel sees them: those that vary, around 0, all together of length about 1.

    Args:
        kept: places of the columns that vary.
        mean, factor: of each kept column.
    """

    kept: numpy.ndarray
    mean: numpy.ndarray
    factor: numpy.ndarray

    @classmethod
    def of(cls, columns: numpy.ndarray) -> "Scaling":
        """Of the labelled networks; a column that repeats an earlier one counts once."""
        _, first = numpy.unique(columns.round(9), axis=1, return_index=True)
        places = numpy.sort(first)
        kept = places[numpy.ptp(columns[:, places], axis=0) > 1e-9]
        std = columns[:, kept].std(axis=0)
        return cls(kept, columns[:, kept].mean(axis=0), 1.0 / (std * numpy.sqrt(max(1, len(kept)))))

    def apply(self, columns: numpy.ndarray) -> Tensor:
        """Scaled columns, (num_networks, num_kept)."""
        return torch.from_numpy((columns[:, self.kept] - self.mean) * self.factor)


@dataclass(frozen=True, eq=False)
class Process:
    """What was learnt.

    Args:
        scaling: of the columns.
        points: scaled columns of the labelled networks.
        values: their labels.
        share: variance of the error of each, in proportion to the mean.
        theta: logarithms of: sizes of the two kernels and of the constant one; noise; one scale for all columns; scales
            of the columns in the first and in the second kernel.
        unit: what labels were divided by.
    """

    scaling: Scaling
    points: numpy.ndarray
    values: numpy.ndarray
    share: numpy.ndarray
    theta: numpy.ndarray
    unit: float

    @cached_property
    def root(self) -> numpy.ndarray:
        """Cholesky factor of the covariance of the labels."""
        parts = (torch.from_numpy(part) for part in (self.theta, self.points, self.share))
        return torch.linalg.cholesky(_noisy(*parts)).numpy()

    @cached_property
    def alpha(self) -> numpy.ndarray:
        """Weights of the labels."""
        return scipy.linalg.cho_solve((self.root, True), self.values)

    @classmethod
    def fit(cls, columns: numpy.ndarray, targets: numpy.ndarray, noise: numpy.ndarray) -> "Process":
        """Find scales and weights; nothing is random.

        Args:
            columns: (num_networks, num_columns).
            targets: around 0, (num_networks,).
            noise: variance of each label's error in proportion to the others', (num_networks,).
        """
        scaling, unit = Scaling.of(columns), float(targets.std()) or 1.0
        points, values = scaling.apply(columns), torch.from_numpy(targets / unit)
        share = torch.from_numpy((noise / noise.mean()).clip(min=LEAST_NOISE_SHARE))
        mean, std = _prior(points.shape[1])

        def loss(given: numpy.ndarray) -> tuple[float, numpy.ndarray]:
            theta = torch.tensor(given, requires_grad=True)
            root = torch.linalg.cholesky(_noisy(theta, points, share))
            explained = torch.linalg.solve_triangular(root, values[:, None], upper=False)
            away = (theta - torch.from_numpy(mean)) / torch.from_numpy(std)
            value = 0.5 * (explained**2).sum() + root.diagonal().log().sum() + 0.5 * (away**2).sum()
            (slope,) = torch.autograd.grad(value, theta)
            return value.item(), slope.numpy()

        bounds = numpy.stack([mean - BOUND, mean + BOUND], 1)
        options = {"maxiter": STEPS}
        theta = scipy.optimize.minimize(loss, mean, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
        return cls(scaling, points.numpy(), values.numpy(), share.numpy(), theta, unit)

    def predict(self, columns: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Mean and standard deviation without noise, (num_networks,) each."""
        means, stds = [numpy.zeros(0)], [numpy.zeros(0)]
        theta, known = torch.from_numpy(self.theta), torch.from_numpy(self.points)
        for begin in range(0, len(columns), CHUNK):
            points = self.scaling.apply(columns[begin : begin + CHUNK])
            covariance = _kernel(theta, points, known).numpy()
            explained = scipy.linalg.solve_triangular(self.root, covariance.T, lower=True)
            prior = _own(theta, points).numpy()
            means.append(covariance @ self.alpha)
            stds.append(numpy.sqrt((prior - (explained**2).sum(axis=0)).clip(min=0.0)))
        return self.unit * numpy.concatenate(means), self.unit * numpy.concatenate(stds)

    def spread(self) -> float:
        """By how much errors of left-out labels exceed what the process states for them, at least 1.

        Each label is predicted from the others in closed form (Rasmussen and Williams, 2006, section 5.4.2); the 90 %
        quantile of the standardised errors is compared with the normal distribution's.
        """
        precision = numpy.diag(scipy.linalg.cho_solve((self.root, True), numpy.eye(len(self.root))))
        errors = numpy.abs(self.alpha) / numpy.sqrt(precision)
        return max(1.0, float(numpy.quantile(errors, 0.9)) / NORMAL_QUANTILE)

    def tensors(self) -> dict[str, Tensor]:
        """Everything, as named tensors."""
        arrays = {
            "kept": self.scaling.kept, "mean": self.scaling.mean, "factor": self.scaling.factor,
            "points": self.points.astype(numpy.float32), "values": self.values, "share": self.share,
            "theta": self.theta, "unit": numpy.array(self.unit),
        }  # fmt: skip
        return {name: torch.from_numpy(numpy.array(found)) for name, found in arrays.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], num_columns: int) -> "Process":
        """Back from named tensors.

        Raises:
            KeyError: one is missing.
            ValueError: shapes or numbers that do not fit.
        """
        part = {name: tensors[name].numpy().astype(float) for name in NAMES}
        labels, kept = part["points"].shape
        shapes = {"kept": (kept,), "mean": (kept,), "factor": (kept,), "theta": (5 + 2 * kept,),
                  "values": (labels,), "share": (labels,), "unit": ()}  # fmt: skip
        wrong = [name for name, shape in shapes.items() if part[name].shape != shape]
        wrong += [name for name, found in part.items() if not numpy.isfinite(found).all()]
        if wrong or ((part["kept"] < 0) | (part["kept"] >= num_columns)).any():
            raise ValueError(f"parts that do not fit: {', '.join(wrong) or 'kept'}")
        if (numpy.abs(part["theta"]) > 2 * BOUND).any() or (part["share"] <= 0).any():
            raise ValueError("parameters outside their bounds")
        scaling = Scaling(part["kept"].astype(int), part["mean"], part["factor"])
        return cls(scaling, part["points"], part["values"], part["share"], part["theta"], float(part["unit"]))


def _prior(num_columns: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    mean = numpy.zeros(5 + 2 * num_columns)
    mean[3] = LOG_NOISE
    std = numpy.full(len(mean), SPREAD)
    std[:5] = WIDE_SPREAD
    return mean, std


def _scales(theta: Tensor) -> tuple[Tensor, Tensor]:
    linear, smooth = theta[5:].chunk(2)
    return linear.exp(), (smooth + theta[4]).exp()


def _kernel(theta: Tensor, some: Tensor, others: Tensor) -> Tensor:
    linear, smooth = _scales(theta)
    first, second = some * smooth, others * smooth
    distances = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    straight = (some * linear) @ (others * linear).T
    sizes = theta[:3].exp()
    return sizes[0] * (1 + distances.clamp(min=0) / 3) ** -1.5 + sizes[1] * straight + sizes[2]


def _own(theta: Tensor, points: Tensor) -> Tensor:
    """Variance of each point before any label."""
    linear, _ = _scales(theta)
    sizes = theta[:3].exp()
    return sizes[0] + sizes[1] * ((points * linear) ** 2).sum(1) + sizes[2]


def _noisy(theta: Tensor, points: Tensor, share: Tensor) -> Tensor:
    return _kernel(theta, points, points) + torch.diag(theta[3].exp() * share + JITTER)
