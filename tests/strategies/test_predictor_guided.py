"""Guidance: what is proposed, when the predictor learns, and that nothing is worked out twice."""

import random

import numpy
import pytest
from scipy.stats import norm

from nasengine.errors import ConfigError
from nasengine.graph import cost
from nasengine.protocols import Evaluation, Prediction
from nasengine.strategies import (
    Candidates,
    GuidanceConfig,
    PredictorGuided,
    expected_improvement,
    upper_confidence_bound,
)
from predictors.cost_regression import CostRegression
from predictors.gaussian_process import GraphGaussianProcess
from predictors.guided import predictor_guided
from search_spaces.darts import DARTS
from search_spaces.nasbench101 import NASBENCH101
from search_spaces.nasbench_macro import NASBENCH_MACRO

SOME = Candidates.of(NASBENCH_MACRO, list(NASBENCH_MACRO.enumerate())[::10], NASBENCH_MACRO.defaults)


class LargestFirst:
    """Predicts macs, and says how often it was asked and taught."""

    def __init__(self):
        self.predicted, self.taught = [], []

    def fit(self, graphs, targets):
        self.taught.append(len(graphs))

    def predict(self, graphs):
        self.predicted.append(len(graphs))
        return Prediction(numpy.array([float(cost(graph).macs) for graph in graphs]), numpy.ones(len(graphs)))


def drive(strategy, count):
    proposed = []
    for _ in range(count):
        (found,) = strategy.ask(1)
        proposed.append(found)
        strategy.tell([Evaluation(found, {"accuracy": strategy.space.format(found).count("2") / 8})])
    return proposed


def test_a_pretrained_predictor_proposes_first_and_is_asked_once_between_fits():
    predictor, config = LargestFirst(), GuidanceConfig(num_first=6, refit_every=4, largest_similarity=1.0)
    strategy = PredictorGuided(
        NASBENCH_MACRO, random.Random(0), predictor=predictor, is_pretrained=True, candidates=SOME, config=config
    )
    proposed = drive(strategy, 15)
    macs = [cost(graph).macs for graph in SOME.graphs]
    ranked = [SOME.architectures[index] for index in numpy.argsort(-numpy.array(macs), kind="stable")]
    assert proposed[:6] == ranked[:6]
    assert predictor.taught == [6, 10, 14]
    assert predictor.predicted == [len(SOME)] * 4


def test_proposals_between_fits_differ_from_one_another():
    config = GuidanceConfig(num_first=100, largest_similarity=0.5)
    strategy = PredictorGuided(
        NASBENCH_MACRO, random.Random(0), predictor=LargestFirst(), is_pretrained=True, candidates=SOME, config=config
    )
    genes = [found.genotype for found in drive(strategy, 4)]
    for index, first in enumerate(genes):
        for second in genes[:index]:
            assert sum(left == right for left, right in zip(first, second, strict=True)) <= 4


def test_without_pretraining_the_first_proposals_are_random():
    predictor = LargestFirst()
    config = GuidanceConfig(num_first=5, pool_size=40)
    drive(PredictorGuided(NASBENCH_MACRO, random.Random(0), predictor=predictor, config=config), 5)
    assert predictor.taught == predictor.predicted == []


def test_few_labels_lead_to_better_architectures_than_chance():
    settings = GuidanceConfig(num_first=10, refit_every=10, pool_size=300)
    guided = predictor_guided(NASBENCH_MACRO, random.Random(0), config=settings)
    counts = [NASBENCH_MACRO.format(found).count("2") for found in drive(guided, 40)]
    assert max(counts[:10]) < max(counts)
    assert numpy.mean(counts[10:30]) > numpy.mean(counts[:10]) + 1.0


@pytest.mark.parametrize("space", [NASBENCH101, DARTS], ids=["nasbench101", "darts"])
def test_pools_of_large_spaces_keep_their_size_and_take_in_neighbours_of_the_best(space):
    config = GuidanceConfig(num_first=4, refit_every=4, pool_size=30, num_parents=2)
    strategy = predictor_guided(space, random.Random(0), predictor=CostRegression(), config=config)
    drive(strategy, 5)
    before = set(strategy.candidates.architectures)
    assert len(before) <= 30
    drive(strategy, 4)
    assert len(strategy.candidates) <= 30
    assert len(set(strategy.candidates.architectures) - before) > 0


def test_candidates_hold_each_architecture_once_with_its_graph():
    with pytest.raises(ConfigError, match="space nasbench101: expected one that can be listed"):
        Candidates.all_of(NASBENCH101, NASBENCH101.defaults)
    merged = SOME.with_others([0, 2], SOME)
    assert merged.architectures == (SOME.architectures[0], SOME.architectures[2])
    assert merged.graphs[1] is SOME.graphs[2]


def test_acquisitions_against_scipy():
    prediction = Prediction(numpy.array([0.2, 0.5, 0.9]), numpy.array([0.3, 0.1, 0.0]))
    z = numpy.array([-0.3 / 0.3, 0.0])
    expected = numpy.array([0.3, 0.1]) * (z * norm.cdf(z) + norm.pdf(z))
    assert expected_improvement(prediction, 0.5) == pytest.approx([*expected, 0.4])
    assert upper_confidence_bound(2.0)(prediction, 0.5) == pytest.approx([0.8, 0.7, 0.9])


def test_the_process_forgets_what_it_learned_before():
    first, second = GraphGaussianProcess(), GraphGaussianProcess()
    graphs = SOME.graphs[:40]
    first.fit(graphs[:20], [0.5] * 10 + [0.9] * 10)
    targets = [float(cost(graph).macs) for graph in graphs]
    for process in (first, second):
        process.fit(graphs, targets)
    assert first.predict(graphs).mean == pytest.approx(second.predict(graphs).mean)
