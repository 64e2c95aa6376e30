"""Trees as arrays against scikit-learn's own predictions."""

import numpy
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from nasengine.errors import ConfigError
from predictors.gennape.forest import Forest
from predictors.gennape.forest_member import ForestMember


def test_predicts_what_scikit_learn_does():
    rng = numpy.random.default_rng(0)
    columns = rng.random((200, 6)).round(2)
    targets = columns[:, 0] + columns[:, 1] * columns[:, 2]
    unseen = rng.random((1500, 6))
    model = ExtraTreesRegressor(30, max_features=0.5, random_state=3).fit(columns.astype(numpy.float32), targets)
    each = numpy.array([tree.predict(unseen.astype(numpy.float32)) for tree in model.estimators_])
    mean, std = Forest.fit(columns, targets, 3, num_trees=30).predict(unseen)
    numpy.testing.assert_allclose(mean, each.mean(0), atol=1e-6)
    numpy.testing.assert_allclose(std, each.std(0), atol=1e-6)


def test_values_on_a_threshold_go_where_scikit_learn_sends_them():
    columns = numpy.array([[0.0], [1.0]] * 10)
    forest = Forest.fit(columns, columns[:, 0], 0, num_trees=5)
    unseen = forest.threshold[forest.left != numpy.arange(len(forest.left))][:, None]
    model = ExtraTreesRegressor(5, max_features=0.5, random_state=0).fit(columns.astype(numpy.float32), columns[:, 0])
    numpy.testing.assert_allclose(forest.predict(unseen)[0], model.predict(unseen), atol=1e-6)


def test_member_comes_back_from_tensors_and_learns(cells, targets):
    member = ForestMember(num_trees=50)
    member.fit(cells[:80], targets[:80], seed=1)
    found = member.predict(cells[80:])[0]
    assert numpy.corrcoef(found, targets[80:])[0, 1] > 0.9
    numpy.testing.assert_array_equal(ForestMember.from_tensors(member.tensors()).predict(cells[80:])[0], found)


def test_predicting_before_fitting(cells):
    with pytest.raises(ConfigError, match=r"expected fit\(\) before predict\(\)"):
        ForestMember().predict(cells)
