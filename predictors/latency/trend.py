"""What networks cost at least roughly: a non-negative price for every sort of work."""

from dataclasses import dataclass

import numpy
import scipy.optimize

from predictors.latency.features import MEASURES, SORTS, WORK_NAMES


@dataclass(frozen=True, eq=False)
class Trend:
    """Prices of work (Lawson and Hanson, 1974, non-negative least squares, relative errors).

    A sort of work that no labelled network has gets the price that work of all sorts has on average.

    Args:
        costs: milliseconds of a network without work, then of one unit of each of ``WORK_NAMES``.
        seen: which of them the labelled networks have.
    """

    costs: numpy.ndarray
    seen: numpy.ndarray

    @classmethod
    def fit(cls, work: numpy.ndarray, values: numpy.ndarray) -> "Trend":
        """Find prices.

        Args:
            work: of the labelled networks, (num_networks, len(WORK_NAMES)).
            values: their latencies, (num_networks,).
        """
        seen = work.max(axis=0) > 0
        totals = work.reshape(len(work), len(SORTS), len(MEASURES)).sum(axis=1)
        average = _prices(totals, values)[1:]
        own = _prices(work, values)
        costs = numpy.where(seen, own[1:], numpy.tile(average, len(SORTS)))
        return cls(numpy.concatenate([own[:1], costs]), seen)

    def predict(self, work: numpy.ndarray) -> numpy.ndarray:
        """Milliseconds, (num_networks,)."""
        return self.costs[0] + work @ self.costs[1:]

    def share_of_strange(self, work: numpy.ndarray) -> numpy.ndarray:
        """Which part of the predicted time goes into work of sorts that were never measured, (num_networks,)."""
        strange = work[:, ~self.seen] @ self.costs[1:][~self.seen]
        return strange / numpy.maximum(self.predict(work), 1e-12)

    def check(self) -> None:
        """See that it can predict.

        Raises:
            ValueError: other shapes, or prices that are negative or not finite.
        """
        if self.costs.shape != (1 + len(WORK_NAMES),) or self.seen.shape != (len(WORK_NAMES),):
            raise ValueError("prices of other sorts of work")
        if not (numpy.isfinite(self.costs).all() and (self.costs >= 0).all() and self.seen.dtype == bool):
            raise ValueError("prices that are negative or not finite")


def _prices(work: numpy.ndarray, values: numpy.ndarray) -> numpy.ndarray:
    columns = numpy.column_stack([numpy.ones(len(work)), work])
    unit = columns.max(axis=0).clip(min=1e-12)
    found, _ = scipy.optimize.nnls(columns / unit / values[:, None], numpy.ones(len(values)))
    return found / unit
