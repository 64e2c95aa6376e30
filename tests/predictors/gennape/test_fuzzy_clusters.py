"""The closed form of memberships against scikit-fuzzy, and the choice of the fuzzifier."""

import numpy
import pytest
import skfuzzy

from predictors.gennape.fuzzy_clusters import FuzzyClusters


@pytest.fixture(scope="module")
def points():
    rng = numpy.random.default_rng(0)
    centers = rng.normal(size=(3, 5)) * 4
    return numpy.vstack([center + rng.normal(size=(60, 5)) for center in centers])


@pytest.mark.parametrize("fuzzifier", [1.2, 2.0])
def test_memberships_of_new_points_are_those_of_scikit_fuzzy(points, fuzzifier):
    clusters = FuzzyClusters.fit(points, 3, fuzzifier)
    unseen = points[::7] + 0.3
    expected, *_ = skfuzzy.cluster.cmeans_predict(
        unseen.T, clusters.centers, fuzzifier, error=1e-9, maxiter=1000, seed=0
    )
    numpy.testing.assert_allclose(clusters.memberships(unseen), expected.T, atol=1e-6)


def test_a_point_on_a_center_belongs_to_it():
    clusters = FuzzyClusters(numpy.array([[0.0, 0.0], [3.0, 4.0]]), 2.0)
    numpy.testing.assert_allclose(clusters.memberships(numpy.array([[3.0, 4.0]])), [[0.0, 1.0]], atol=1e-9)
    # (d1^2 / d2^2) ** (1 / (m - 1)) with d1 = 1 and d2 = 2: a share of 4 to 1
    halfway = FuzzyClusters(numpy.array([[0.0], [3.0]]), 2.0)
    numpy.testing.assert_allclose(halfway.memberships(numpy.array([[1.0]])), [[0.8, 0.2]])


def test_the_fuzzifier_is_neither_hard_nor_uniform():
    points = numpy.random.default_rng(1).normal(size=(300, 64))
    usual = FuzzyClusters.fit(points, 4, 2.0)
    chosen = FuzzyClusters.of_wanted_entropy(points, 4)
    assert usual.entropy(points) > 0.99  # what happens in many dimensions
    assert chosen.entropy(points) == pytest.approx(0.5, abs=0.05)
    assert chosen.fuzzifier < 2.0
