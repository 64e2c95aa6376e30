"""The baseline predictor on real accuracies, and its messages."""

import random

import pytest
from sklearn.metrics import r2_score

from nasengine.errors import ConfigError
from nasengine.graph import cost
from predictors.cost_regression import CostRegression
from search_spaces.nasbench201 import NASBENCH201


def test_learns_what_its_features_hold():
    rng = random.Random(0)
    graphs = [NASBENCH201.to_graph(NASBENCH201.sample(rng), NASBENCH201.defaults) for _ in range(120)]
    depth_and_size = [cost(graph).num_parameters ** 0.5 for graph in graphs]
    predictor = CostRegression()
    predictor.fit(graphs[:80], depth_and_size[:80])
    assert r2_score(depth_and_size[80:], predictor.predict(graphs[80:]).mean) > 0.8


@pytest.mark.benchmark_data
def test_ranks_unseen_networks_of_the_benchmark(benchmark_table):
    from scipy.stats import kendalltau

    rows = random.Random(0).sample(benchmark_table("nasbench201"), 600)
    graphs = [NASBENCH201.to_graph(NASBENCH201.parse(row["arch"]), NASBENCH201.defaults) for row in rows]
    targets = [float(row["cifar10_test_200ep"]) for row in rows]
    predictor = CostRegression()
    predictor.fit(graphs[:100], targets[:100])
    assert kendalltau(predictor.predict(graphs[100:]).mean, targets[100:]).statistic > 0.4


def test_messages():
    graph = NASBENCH201.to_graph(NASBENCH201.sample(random.Random(0)), NASBENCH201.defaults)
    with pytest.raises(ConfigError, match=r"expected fit\(\) before predict\(\)"):
        CostRegression().predict([graph])
    with pytest.raises(ConfigError, match="expected at least 3 networks and one finite label"):
        CostRegression().fit([graph] * 3, [1.0, 2.0, float("nan")])
