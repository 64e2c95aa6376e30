"""Several proxies as one: the sum of their log ranks (Lee and Ham, 2024, arXiv 2403.19232, AZ-NAS)."""

from collections.abc import Mapping

import numpy

from nasengine.errors import ConfigError


def rank_sum(values: Mapping[str, numpy.ndarray]) -> numpy.ndarray:
    """Score of each network of a pool: the sum over proxies of ``log(rank / number of networks)``.

    Ranks start at 1 for the lowest value; equal values share the mean of their ranks. The logarithm punishes a
    network that is bad by one proxy more than it rewards one that is good by another.

    Args:
        values: by proxy, one number for each network; more is better. -inf marks networks that could not be measured.

    Raises:
        ConfigError: no values, values of different lengths, or values that cannot be ranked.

    >>> rank_sum({"a": numpy.array([1.0, 3.0, 2.0]), "b": numpy.array([5.0, 7.0, 7.0])}).round(2)
    array([-2.2 , -0.18, -0.59])
    """
    table = [numpy.asarray(column, dtype=float) for column in values.values()]
    shapes = {column.shape for column in table}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1 or not table[0].size:
        raise ConfigError(
            "rank sum: expected one value of every proxy for each network, got "
            + (", ".join(f"{name} of shape {numpy.shape(column)}" for name, column in values.items()) or "no proxies")
        )
    unknown = [name for name, column in zip(values, table, strict=True) if numpy.isnan(column).any()]
    if unknown:
        raise ConfigError(
            f"rank sum: expected numbers, got nan among the values of {', '.join(unknown)}; "
            "use -inf for networks that could not be measured"
        )
    return numpy.log(numpy.stack([_shared_ranks(column) for column in table]) / len(table[0])).sum(0)


def _shared_ranks(column: numpy.ndarray) -> numpy.ndarray:
    _, places, counts = numpy.unique(column, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[places]
