"""Ranks against scipy, colours against counting by hand."""

from collections import Counter

import numpy
import pytest
from scipy.stats import rankdata

from nasengine.errors import ConfigError
from predictors.colours import refined_colours
from predictors.gennape.inputs import ColourVocabulary, InputRanks, MemberInputs, distinct_columns
from predictors.gennape.ranks import MAX_QUANTILES, RankTransform
from predictors.graph_batch import GraphBatch
from search_spaces.nasbench201 import NASBENCH201

WITH_3X3 = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|"
WITH_1X1 = "|nor_conv_1x1~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|nor_conv_1x1~2|"


def _batch(*cells):
    return GraphBatch.of([NASBENCH201.to_graph(NASBENCH201.parse(cell), NASBENCH201.defaults) for cell in cells])


def test_ranks_are_those_of_scipy_where_the_pool_is_remembered_whole():
    pool = numpy.random.default_rng(0).integers(0, 40, (MAX_QUANTILES - 57, 3)).astype(float)
    expected = (rankdata(pool, axis=0) - 0.5) / len(pool)
    numpy.testing.assert_allclose(RankTransform.fit(pool).apply(pool), expected, atol=1e-12)


def test_ranks_of_a_large_pool_are_near_and_bounded_in_size():
    pool = numpy.random.default_rng(1).normal(size=(5000, 2))
    ranks = RankTransform.fit(pool)
    assert len(ranks.tensors()["quantiles"]) == MAX_QUANTILES
    numpy.testing.assert_allclose(ranks.apply(pool), (rankdata(pool, axis=0) - 0.5) / 5000, atol=0.005)


def test_ranks_keep_order_beyond_the_pool_and_come_back_from_tensors():
    ranks = RankTransform.fit(numpy.linspace(0, 1, 50)[:, None])
    values = numpy.array([-9.0, -2.0, -0.1, 0.0, 0.31, 0.32, 1.0, 1.5, 7.0])[:, None]
    found = RankTransform.from_tensors(ranks.tensors()).apply(values)[:, 0]
    assert (numpy.diff(found) > 0).all()
    assert found.min() > 0
    assert found.max() < 1


def test_counts_are_those_of_the_colours_and_leave_the_batch_alone():
    batch = _batch(WITH_3X3, WITH_1X1)
    starts = batch.starts.copy()
    counts = ColourVocabulary.fit(batch, rounds=2).counts(batch)
    assert (batch.starts == starts).all()
    colours = refined_colours(batch, batch.operation_index, 2)
    for found, of_nodes in zip(counts, colours, strict=True):
        for number in range(2):
            expected = Counter(of_nodes[starts[number] : starts[number + 1]].tolist())
            assert sorted(found[[number]].data.tolist()) == sorted(expected.values())


def test_colours_mean_the_same_in_every_batch_and_unknown_ones_count_together():
    vocabulary = ColourVocabulary.fit(_batch(WITH_3X3))
    vocabulary = ColourVocabulary.from_tensors(vocabulary.tensors())
    together, alone = vocabulary.counts(_batch(WITH_1X1, WITH_3X3)), vocabulary.counts(_batch(WITH_3X3))
    for some, one in zip(together, alone, strict=True):
        assert (some[[1]] != one).nnz == 0
        assert one[0, -1] == 0
        assert some[0, -1] > 0
        assert some.sum(1)[0] == len(_batch(WITH_1X1).operation_index)


def test_ranked_inputs_do_not_depend_on_the_rest_of_the_batch(cells):
    ranks = InputRanks.fit(cells)
    rows = numpy.array([5, 3])
    numpy.testing.assert_array_equal(ranks.apply(cells[rows]).columns(), ranks.apply(cells).columns()[rows])


def test_distinct_columns_vary_and_do_not_repeat():
    column = numpy.arange(5.0)
    assert distinct_columns(numpy.stack([column * 0, column, column, -column], 1)).tolist() == [1, 3]


def test_messages(cells):
    with pytest.raises(ConfigError, match="proxies: expected 3 rows, got 2.*zero_shot: expected finite numbers"):
        MemberInputs(numpy.zeros((3, 2)), (), numpy.zeros((2, 1)), None, numpy.full(3, numpy.nan))
    with pytest.raises(ConfigError, match="proxies: expected 2 columns, as the pool has, got 0"):
        InputRanks.fit(cells).apply(MemberInputs(cells.features, cells.colours, None, None, cells.zero_shot))
