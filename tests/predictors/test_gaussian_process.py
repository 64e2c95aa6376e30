"""The process against scikit-learn's, its features against counts made here, its messages."""

import random
from collections import Counter

import numpy
import pytest
from scipy.stats import kendalltau
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from nasengine.errors import ConfigError
from predictors.gaussian_process import GraphGaussianProcess, _posterior, _Warp, feature_blocks
from predictors.graph_batch import GraphBatch
from predictors.remembered_features import RememberedFeatures
from predictors.surroundings import surroundings
from search_spaces.nasbench201 import NASBENCH201


def some_graphs(count, seed=0):
    rng = random.Random(seed)
    return [NASBENCH201.to_graph(NASBENCH201.sample(rng), NASBENCH201.defaults) for _ in range(count)]


def test_mean_and_spread_are_those_of_scikit_learn():
    rng = numpy.random.default_rng(0)
    points, values = rng.normal(size=(30, 3)), rng.normal(size=30)
    fit = _posterior(points, values, [], _Warp(0.0, 1.0, 0.0, 1.0))
    kernel = ConstantKernel(fit.amplitude, "fixed") * Matern(fit.length, "fixed", nu=1.5)
    noises = (1e-3, 1e-2, 1e-1, 1.0)
    references = [GaussianProcessRegressor(kernel, alpha=fit.amplitude * noise).fit(points, values) for noise in noises]
    ours = fit.inverse_root.T @ fit.inverse_root @ values
    assert min(abs(fit.amplitude * found.alpha_ - ours).max() for found in references) < 1e-6


def test_the_warp_is_undone():
    values = numpy.array([0.1, 0.5, 0.9, 0.93, 0.94])
    warp = _Warp.of(values)
    warped = warp.apply(values)
    assert warped.mean() == pytest.approx(0.0)
    assert warped.std() == pytest.approx(1.0)
    step = 1e-6
    again, moved = warp.undo(warped, numpy.ones(5)), warp.undo(warped + step, numpy.ones(5))
    assert again.mean == pytest.approx(values)
    assert again.std == pytest.approx((moved.mean - again.mean) / step, rel=1e-3)


def test_projected_distances_are_near_those_of_counts_and_do_not_depend_on_the_batch():
    graphs = some_graphs(30)
    found = surroundings(GraphBatch.of(graphs)).astype(float)
    assert surroundings(GraphBatch.of(graphs[7:9])) == pytest.approx(found[7:9])
    counts = [_counts(graph) for graph in graphs]
    names = sorted(set().union(*counts), key=repr)
    exact = numpy.log1p([[count[name] for name in names] for count in counts])
    pairs = numpy.triu_indices(30, 1)
    ours, truth = (((rows[:, None] - rows) ** 2).sum(axis=2)[pairs] for rows in (found, exact))
    assert numpy.corrcoef(ours, truth)[0, 1] > 0.9
    assert ours.mean() == pytest.approx(truth.mean(), rel=0.15)


def _counts(graph):
    """How often each operation, and each operation with its neighbours, occurs."""
    consumers = [[] for _ in graph.operations]
    for target, sources in enumerate(graph.inputs):
        for source in sources:
            consumers[source].append(repr(graph.operations[target]))
    near = [
        (repr(graph.operations[i]), *sorted(repr(graph.operations[s]) for s in graph.inputs[i]), "|", *sorted(after))
        for i, after in enumerate(consumers)
    ]
    return Counter(near) + Counter(map(repr, graph.operations))


def test_features_are_worked_out_once_for_each_graph():
    counted = []

    def features(graphs):
        counted.append(len(graphs))
        return feature_blocks(graphs)

    graphs, remembered = some_graphs(6), RememberedFeatures(features, size=3)
    direct = feature_blocks([graphs[index] for index in (4, 0, 4, 2)])
    remembered(graphs[:3])
    for ours, block in zip(remembered([graphs[index] for index in (4, 0, 4, 2)]), direct, strict=True):
        assert ours == pytest.approx(block)
    assert counted == [3, 1]
    remembered(graphs[5:])
    remembered(graphs[:1])
    assert counted == [3, 1, 1, 1]


@pytest.mark.benchmark_data
def test_ranks_unseen_networks_better_than_costs_do(benchmark_table):
    rows = random.Random(0).sample(benchmark_table("nasbench201"), 260)
    graphs = [NASBENCH201.to_graph(NASBENCH201.parse(row["arch"]), NASBENCH201.defaults) for row in rows]
    targets = [float(row["cifar10_test_200ep"]) for row in rows]
    predictor = GraphGaussianProcess()
    predictor.fit(graphs[:60], targets[:60])
    assert kendalltau(predictor.predict(graphs[60:]).mean, targets[60:]).statistic > 0.5


def test_messages():
    (graph,) = some_graphs(1)
    with pytest.raises(ConfigError, match=r"expected fit\(\) before predict\(\)"):
        GraphGaussianProcess().predict([graph])
    with pytest.raises(ConfigError, match="expected at least 3 networks and one finite label"):
        GraphGaussianProcess().fit([graph] * 3, [1.0, 2.0, float("nan")])
