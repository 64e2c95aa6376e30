"""Ranks of several proxies together."""

import numpy
import pytest
from scipy.stats import rankdata

from nasengine.errors import ConfigError
from predictors.zero_cost import rank_sum


def test_rank_sum_is_of_shared_ranks():
    rng = numpy.random.default_rng(0)
    values = {name: rng.integers(0, 20, 50).astype(float) for name in ("a", "b", "c")}
    values["a"][3] = -numpy.inf
    expected = sum(numpy.log(rankdata(column) / 50) for column in values.values())
    assert numpy.allclose(rank_sum(values), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "got no proxies"),
        ({"a": numpy.zeros(3), "b": numpy.zeros(2)}, r"got a of shape \(3,\), b of shape \(2,\)"),
        ({"a": numpy.zeros(0)}, r"got a of shape \(0,\)"),
        ({"a": numpy.array([1.0, numpy.nan])}, "got nan among the values of a; use -inf"),
    ],
)
def test_what_cannot_be_ranked_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        rank_sum(values)
