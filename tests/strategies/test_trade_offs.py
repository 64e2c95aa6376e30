"""Volumes, fronts and knees against counting, sampling and examples by hand."""

import itertools

import numpy
import pytest

from nasengine.errors import ConfigError
from nasengine.protocols import Prediction
from nasengine.strategies import expected_hypervolume_improvement, front, hypervolume, knee
from nasengine.strategies.hypervolume import undominated_boxes


def dominated(samples, points):
    return (samples[:, None] <= points).all(axis=2).any(axis=1)


@pytest.mark.parametrize(("seed", "columns"), list(itertools.product(range(3), (2, 3, 4))))
def test_hypervolume_counts_the_cells_of_a_grid(seed, columns):
    points = numpy.random.default_rng(seed).integers(-1, 6, (12, columns)).astype(float)  # with ties
    cells = numpy.array(list(itertools.product(range(5), repeat=columns))) + 0.5
    assert hypervolume(points, (0.0,) * columns) == dominated(cells, points).sum()
    assert hypervolume(points[:0], (0.0,) * columns) == 0.0


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_hypervolume_of_three_and_more_objectives_by_sampling(columns):
    rng = numpy.random.default_rng(columns)
    points, samples = rng.random((15, columns)), rng.random((40_000, columns))
    share = dominated(samples, points).mean()
    assert hypervolume(points, (0.0,) * columns) == pytest.approx(share, abs=4 * (0.25 / len(samples)) ** 0.5)


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_boxes_hold_every_undominated_point_once_and_no_other(columns):
    rng = numpy.random.default_rng(columns)
    points, samples = rng.random((8, columns)), 1.2 * rng.random((2_000, columns))
    low, high = undominated_boxes(points, (0.1,) * columns)
    inside = ((samples[:, None] > low) & (samples[:, None] <= high)).all(axis=2).sum(axis=1)
    expected = (samples > 0.1).all(axis=1) & ~dominated(samples, points)
    assert inside.tolist() == expected.astype(int).tolist()


@pytest.mark.parametrize("columns", [2, 3])
def test_the_expected_gain_is_the_mean_gain_of_samples(columns):
    rng = numpy.random.default_rng(columns)
    points, reference = rng.random((5, columns)), (0.0,) * columns
    means, stds = rng.random((3, columns)), 0.3 * rng.random((3, columns))
    predictions = [Prediction(means[:, column], stds[:, column]) for column in range(columns)]
    found = expected_hypervolume_improvement(predictions, points, reference)
    before = hypervolume(points, reference)
    for place in range(3):
        drawn = rng.normal(means[place], stds[place], (800, columns))
        gains = [hypervolume(numpy.vstack([points, one]), reference) - before for one in drawn]
        assert found[place] == pytest.approx(numpy.mean(gains), abs=5 * numpy.std(gains) / 800**0.5 + 1e-9)


def test_sure_networks_gain_what_they_add_and_those_that_do_not_run_nothing():
    points = numpy.array([[1.0, 3.0], [3.0, 1.0]])
    news = numpy.array([[2.0, 2.0], [1.0, 1.0], [4.0, 4.0], [5.0, -1e30]])
    sure = [Prediction(column, numpy.zeros(4)) for column in news.T]
    gains = expected_hypervolume_improvement(sure, points, (0.0, 0.0))
    assert gains == pytest.approx([1.0, 0.0, 11.0, 0.0])


def test_the_front_is_what_nothing_dominates():
    points = numpy.array([[0.0, 0.0], [2.0, 1.0], [1.0, 2.0], [1.0, 1.0], [2.0, 1.0]])
    assert front(points).tolist() == [1, 2, 4]
    assert front(points[:0]).tolist() == []


def test_the_knee_is_furthest_from_the_line_between_the_ends_whatever_the_units():
    points = numpy.array([[0.0, 10.0], [4.0, 9.0], [7.0, 5.0], [10.0, 0.0], [1.0, 1.0]])
    heights = points[:4] @ [1.0, 1.0] / 2**0.5  # the line from (0, 10) to (10, 0)
    assert knee(points) == numpy.argmax(heights) == 1
    assert knee(points * [1e-3, 1e6] + [5.0, -1e9]) == 1


def test_the_knee_of_three_objectives_and_of_odd_fronts():
    ends = numpy.eye(3)
    assert knee(numpy.vstack([ends, [[0.3, 0.3, 0.3]], [[0.5, 0.5, 0.5]], [[0.9, 0.4, 0.0]]])) == 4
    assert knee(numpy.array([[1.0, 2.0]])) == 0
    hollow = numpy.array([[0.0, 1.0], [0.1, 0.2], [1.0, 0.0]])
    assert knee(hollow) in (0, 2)
    with pytest.raises(ConfigError, match="knee: expected at least one point"):
        knee(numpy.zeros((0, 2)))
