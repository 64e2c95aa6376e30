"""Ranks in a pool: what makes numbers of different families, and scores of different members, comparable.

A path of 9 convolutions is long in one space and short in another. Its rank among the networks of its own space is
known without any label, and means the same everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy

MAX_QUANTILES = 257


@dataclass(frozen=True, eq=False)
class RankTransform:
    """Maps columns to their ranks in a reference pool, from 0 to 1.

    Args:
        quantiles: of the pool's columns, ascending, (num_quantiles, num_columns); a bounded sample of the pool.
    """

    quantiles: numpy.ndarray

    @classmethod
    def fit(cls, columns: numpy.ndarray) -> "RankTransform":
        """Remember a pool, (num_networks, num_columns), by at most ``MAX_QUANTILES`` quantiles of each column."""
        ordered = numpy.sort(numpy.asarray(columns, float), axis=0)
        if len(ordered) > MAX_QUANTILES:
            ordered = ordered[numpy.linspace(0, len(ordered) - 1, MAX_QUANTILES).round().astype(int)]
        return cls(ordered)

    def apply(self, columns: numpy.ndarray) -> numpy.ndarray:
        """Ranks of values, (num_networks, num_columns): the share of the pool below, and half of the equals.

        Linear between the pool's values, and beyond them ever nearer to 0 and 1, so that order is kept.
        """
        return numpy.stack(
            [_ranks(known, values) for known, values in zip(self.quantiles.T, columns.T, strict=True)], axis=1
        ).reshape(columns.shape)

    def tensors(self) -> Mapping[str, numpy.ndarray]:
        """Everything, as named arrays."""
        return {"quantiles": self.quantiles}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, numpy.ndarray]) -> "RankTransform":
        """Back from named arrays."""
        return cls(numpy.asarray(tensors["quantiles"]))


def _ranks(known: numpy.ndarray, values: numpy.ndarray) -> numpy.ndarray:
    last = len(known) - 1
    below, upto = numpy.searchsorted(known, values, "left"), numpy.searchsorted(known, values, "right")
    low, high = known[(below - 1).clip(0)], known[below.clip(max=last)]
    share = (values - low) / numpy.where(high > low, high - low, 1.0)
    between = numpy.where(upto > below, (below + upto) / 2, below - 0.5 + share)
    spread = (known[last] - known[0]) or 1.0
    over = len(known) - 0.5 * numpy.exp((known[last] - values).clip(max=0.0) / spread)
    under = 0.5 * numpy.exp((values - known[0]).clip(max=0.0) / spread)
    return numpy.select([values > known[last], values < known[0]], [over, under], between) / len(known)
