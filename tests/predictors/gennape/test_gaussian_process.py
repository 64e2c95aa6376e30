"""The Gaussian process against scikit-learn's, its gradient against differences, its kernel against loops."""

import numpy
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, RationalQuadratic, WhiteKernel

from predictors.gennape import gaussian_process
from predictors.gennape.gaussian_process import JITTER, GaussianProcess, Layout, Points, negative_log_likelihood
from predictors.gennape.inputs import MemberInputs
from predictors.gennape.kernels import colour_distances, normal_scores, root_counts


def test_posterior_and_likelihood_are_those_of_scikit_learn():
    """Without colours the first kernel is a constant."""
    rng = numpy.random.default_rng(0)
    columns, targets = rng.random((30, 3)), rng.normal(size=30)
    member = GaussianProcess()
    member.fit(MemberInputs(columns), targets)
    theta = member.tensors()["theta"]
    constant, amount, noise = numpy.exp(theta[[0, 1, -1]])
    kernel = ConstantKernel(constant) + amount * RationalQuadratic(1.0, 1.5) + WhiteKernel(noise + JITTER)
    factors = numpy.exp(theta[2:5]) / numpy.sqrt(3)
    model = GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(normal_scores(columns) * factors, targets)
    unseen = rng.random((8, 3))
    expected = model.predict(normal_scores(unseen) * factors, return_std=True)
    numpy.testing.assert_allclose(member.predict(MemberInputs(unseen)), expected, rtol=1e-5)
    layout = Layout(0, numpy.arange(3), numpy.full(3, 1 / 3))
    data = numpy.zeros((0, 30, 30)), targets
    value = negative_log_likelihood(layout, theta, Points(normal_scores(columns), []), data)[0]
    assert -value - 15 * numpy.log(2 * numpy.pi) == pytest.approx(model.log_marginal_likelihood_value_)


def test_gradient_is_that_of_differences(cells, targets):
    some = cells[:25]
    points = Points(normal_scores(some.columns()[:, :7]), root_counts(some))
    layout = Layout(len(points.colours), numpy.array([0, 1, 2, 3, 4, 4, 4]), numpy.full(7, 0.2))
    data = colour_distances(points.colours, points.colours), targets[:25]
    theta = layout.prior(0.5)[0] + numpy.random.default_rng(0).normal(size=layout.scales.stop + 1) * 0.3
    slope = negative_log_likelihood(layout, theta, points, data)[1]
    expected = approx_fprime(theta, lambda found: negative_log_likelihood(layout, found, points, data)[0], 1e-6)
    numpy.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-3)


def test_colour_distances_are_hellinger_distances_of_the_counts(cells):
    some = cells[:3]
    found = colour_distances(root_counts(some), root_counts(some))
    for number, counts in enumerate(some.colours[1:]):
        shares = counts.toarray() / counts.toarray().sum(1, keepdims=True)
        expected = [[((a**0.5 - b**0.5) ** 2).sum() for b in shares] for a in shares]
        numpy.testing.assert_allclose(found[number], expected, atol=1e-12)


def test_learns_in_blocks_and_comes_back_from_tensors(cells, targets, monkeypatch):
    member = GaussianProcess()
    member.fit(cells[:80], targets[:80])
    whole = member.predict(cells[80:])
    assert numpy.corrcoef(whole[0], targets[80:])[0, 1] > 0.95
    monkeypatch.setattr(gaussian_process, "BLOCK", 7)
    numpy.testing.assert_allclose(GaussianProcess.from_tensors(member.tensors()).predict(cells[80:]), whole)


def test_fewer_features_and_an_embedding(cells, targets):
    embedding = numpy.random.default_rng(0).normal(size=(len(cells), 4))
    embedding[:, 0] = targets
    inputs = MemberInputs(cells.features[:, :3], (), None, embedding, None)
    member = GaussianProcess(num_features=1)
    member.fit(inputs[:80], targets[:80])
    again = GaussianProcess.from_tensors(member.tensors())
    found = again.predict(inputs[80:])[0]
    assert numpy.corrcoef(found, targets[80:])[0, 1] > 0.8
    changed = MemberInputs(1 - cells.features[:, :3], (), None, embedding, None)
    changed.features[:, 0] = inputs.features[:, 0]
    numpy.testing.assert_array_equal(again.predict(changed[80:])[0], found)
