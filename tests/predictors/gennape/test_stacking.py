"""Weights and deviations against their definitions."""

import numpy
import pytest
from scipy.special import softmax
from scipy.stats import kendalltau

from nasengine.errors import ConfigError
from predictors.gennape.forest_member import ForestMember
from predictors.gennape.gaussian_process import GaussianProcess
from predictors.gennape.label_scale import LabelScale
from predictors.gennape.stacking import (
    Stack,
    combined,
    out_of_fold,
    rank_weights,
    scale_for_coverage,
    softmax_weights,
)


class Memory:
    """Knows the targets it saw and answers 0 elsewhere; the first feature is the row's number."""

    def fit(self, inputs, targets, seed):
        self.seen = dict(zip(inputs.features[:, 0], targets, strict=True))

    def predict(self, inputs):
        return numpy.array([self.seen.get(found, 0.0) for found in inputs.features[:, 0]]), None

    def tensors(self):
        return {}


def test_no_label_is_seen_by_what_predicts_it(cells, targets):
    from predictors.gennape.inputs import MemberInputs

    inputs = MemberInputs(numpy.arange(23.0)[:, None])
    found = out_of_fold({"memory": Memory}, inputs, targets[:23], seed=0, folds=5)
    assert (found.means == 0).all()
    assert numpy.isnan(found.stds).all()


def test_weights_go_to_members_that_rank_well():
    rng = numpy.random.default_rng(0)
    targets = rng.normal(size=200)
    means = numpy.stack([targets + rng.normal(size=200) * noise for noise in (0.5, 0.5, 5.0)])
    weights = rank_weights(means, targets)
    assert weights.sum() == pytest.approx(1)
    assert weights[2] < min(weights[:2])
    assert kendalltau(weights @ means, targets).statistic > kendalltau(means.mean(0), targets).statistic
    taus = numpy.array([0.9, 0.5, 0.1])
    numpy.testing.assert_allclose(softmax_weights(taus), softmax(taus))


def test_scaled_deviations_cover_nine_in_ten():
    rng = numpy.random.default_rng(0)
    stds = rng.uniform(0.5, 2, 4000)
    factor = scale_for_coverage(rng.normal(size=4000) * stds * 3, stds)
    assert factor == pytest.approx(3, rel=0.05)


def test_mixture_has_the_variance_of_its_samples():
    rng = numpy.random.default_rng(0)
    weights, means, stds = numpy.array([0.25, 0.75]), numpy.array([[0.0], [2.0]]), numpy.array([[1.0], [0.5]])
    place = (rng.random(200_000) < 0.75).astype(int)
    samples = rng.normal(means[place, 0], stds[place, 0])
    mean, std = combined(means, stds, weights)
    assert mean[0] == pytest.approx(samples.mean(), abs=0.02)
    assert std[0] == pytest.approx(samples.std(), abs=0.02)


def test_stack_predicts_unseen_networks_with_intervals_that_cover(cells, targets):
    noisy = 0.9 - 0.02 * (2 - targets) + 0.002 * numpy.random.default_rng(0).normal(size=len(targets))
    stack = Stack({"process": GaussianProcess, "trees": lambda: ForestMember(30)}, folds=4)
    stack.fit(cells[:80], noisy[:80], seed=0)
    mean, std = stack.predict(cells[80:])
    assert kendalltau(mean, targets[80:]).statistic > 0.8
    below_limit = numpy.minimum(noisy[80:], stack.scale.limit - 1e-4)
    assert 0.7 < (numpy.abs(stack.scale.apply(below_limit) - mean) < 1.645 * std).mean() <= 1


@pytest.mark.parametrize("weighting", ["equal", "in_sample_softmax"])
def test_other_weights(cells, targets, weighting):
    stack = Stack({"few": lambda: ForestMember(5), "more": lambda: ForestMember(9)}, weighting, folds=2)
    stack.fit(cells[:30], targets[:30], seed=0)
    assert stack.weights.sum() == pytest.approx(1)
    assert stack.weights == pytest.approx([0.5, 0.5], abs=0.0 if weighting == "equal" else 0.1)


def test_messages(cells):
    with pytest.raises(ConfigError, match="at least 3 finite numbers that are not all equal"):
        LabelScale.fit(numpy.array([1.0, 2.0, numpy.nan]))
    with pytest.raises(ConfigError, match="expected one for each of 120 networks, got 2"):
        Stack({"trees": ForestMember}).fit(cells, numpy.zeros(2), seed=0)
    with pytest.raises(ConfigError, match=r"expected fit\(\) before predict\(\)"):
        Stack({"trees": ForestMember}).predict(cells)
