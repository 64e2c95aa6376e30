"""Limits in searches: answers keep them, what misses least is named, and chances are what the normal table says."""

import itertools
import math
import random

import numpy
import pytest
from scipy.stats import norm

from nasengine.errors import ConfigError
from nasengine.graph import cost
from nasengine.protocols import Evaluation, Prediction
from nasengine.strategies import (
    Candidates,
    Constraint,
    Constraints,
    GuidanceConfig,
    Objective,
    ParetoEvolution,
    PredictorGuided,
)
from nasengine.strategies.measurements import Measurements, graph_metrics
from nasengine.strategies.metric_predictors import MetricPredictors, chance_of_keeping
from nasengine.strategies.non_dominated_sorting import front_numbers, ranking
from predictors.gaussian_process import GraphGaussianProcess
from predictors.guided import predictor_guided
from predictors.latency.latency_predictor import LatencyPredictor
from search_spaces.nasbench_macro import NASBENCH_MACRO

SOME = Candidates.of(NASBENCH_MACRO, list(NASBENCH_MACRO.enumerate())[::12], NASBENCH_MACRO.defaults)
LIMIT_MS = 16.0
SLOW = Constraints((Constraint("latency_ms", LIMIT_MS),))


def latency_of(found):
    return 5.0 + cost(NASBENCH_MACRO.to_graph(found, NASBENCH_MACRO.defaults)).macs / 4e6


def measured(found):
    worth = sum(place * int(gene) for place, gene in enumerate(found.genotype))
    return Evaluation(found, {"accuracy": worth / 60, "latency_ms": latency_of(found)})


def drive(strategy, count):
    told = []
    for _ in range(count):
        (found,) = strategy.ask(1)
        told.append(measured(found))
        strategy.tell(told[-1:])
    return told


def constrained_beats(left, right):
    """Deb et al., 2002, definition 1; each is (objectives, violation)."""
    if left[1] == 0 and right[1] == 0:
        return all(left[0] >= right[0]) and any(left[0] > right[0])
    return left[1] < right[1]


@pytest.mark.parametrize("seed", range(4))
def test_constrained_fronts_follow_the_definition(seed):
    rng = numpy.random.default_rng(seed)
    points, violations = rng.integers(0, 6, (25, 2)).astype(float), rng.integers(0, 3, 25) / 2
    every, left, number, expected = list(zip(points, violations, strict=True)), set(range(25)), 0, {}
    while left:
        best = [one for one in left if not any(constrained_beats(every[two], every[one]) for two in left)]
        expected |= dict.fromkeys(best, number)
        left -= set(best)
        number += 1
    assert front_numbers(points, violations).tolist() == [expected[place] for place in range(25)]
    kept = violations == 0
    assert front_numbers(points, 0 * violations).tolist() == front_numbers(points).tolist()
    assert ranking(points, violations)[kept].max() < ranking(points, violations)[~kept].min()


def makers():
    def evolution(rng, limits):
        accuracy = (Objective("accuracy", "max"),)
        return ParetoEvolution(NASBENCH_MACRO, rng, objectives=accuracy, constraints=limits, population_size=10)

    def guided(rng, limits):
        config = GuidanceConfig(num_first=20)
        return predictor_guided(NASBENCH_MACRO, rng, constraints=limits, candidates=SOME, config=config)

    return [evolution, guided]


@pytest.mark.parametrize("make", makers())
def test_limits_are_kept_more_often_and_always_by_the_answer(make):
    told = drive(make(random.Random(0), SLOW), 50)
    strategy = make(random.Random(0), SLOW)
    assert strategy.best() is None
    strategy.tell(told)
    kept = [found for found in told if found.metrics["latency_ms"] <= LIMIT_MS]
    assert 0 < len(kept) < len(told)
    assert strategy.best() == strategy.nearest() == max(kept, key=lambda found: found.metrics["accuracy"])
    without_limits = drive(make(random.Random(0), Constraints()), 50)
    assert len(kept) > 1.5 * sum(found.metrics["latency_ms"] <= LIMIT_MS for found in without_limits)


def test_guidance_finds_the_best_that_keeps_the_limits():
    every = [measured(found).metrics for found in SOME.architectures]
    best = max(metrics["accuracy"] for metrics in every if metrics["latency_ms"] <= LIMIT_MS)
    strategy = makers()[1](random.Random(1), SLOW)
    told = drive(strategy, 40)
    assert strategy.best().metrics["accuracy"] == best
    assert max(found.metrics["accuracy"] for found in told[:20] if found.metrics["latency_ms"] <= LIMIT_MS) < best
    assert sum(found.metrics["latency_ms"] <= LIMIT_MS for found in told[20:]) >= 19


@pytest.mark.parametrize("make", makers())
def test_a_limit_that_nothing_keeps_leaves_no_answer_but_the_nearest(make):
    impossible = Constraints((Constraint("latency_ms", 1.0),))
    strategy = make(random.Random(0), impossible)
    with pytest.raises(ConfigError, match="expected at least one measured network, got none"):
        strategy.nearest()
    told = drive(strategy, 30)
    fastest = min(told, key=lambda found: found.metrics["latency_ms"])
    assert strategy.best() is None
    assert strategy.nearest().metrics["latency_ms"] == fastest.metrics["latency_ms"]
    assert "% too much" in impossible.misses(strategy.nearest().metrics)


def test_fronts_hold_what_keeps_the_limits_only():
    strategy = ParetoEvolution(NASBENCH_MACRO, random.Random(0), constraints=SLOW)
    fast, slow, lost = strategy.ask(3)
    strategy.tell([
        Evaluation(fast, {"accuracy": 0.5, "latency_ms": 16.0}),
        Evaluation(slow, {"accuracy": 0.9, "latency_ms": 18.0}),
        Evaluation(lost, {"accuracy": 0.95, "latency_ms": math.nan}),
    ])  # fmt: skip
    assert [found.architecture for found in strategy.front()] == [fast]
    assert strategy.measured.violations.tolist() == pytest.approx([0.0, 0.125, math.inf])


def test_limits_that_graphs_tell_are_kept_exactly_before_anything_is_measured():
    limits = Constraints((Constraint("macs", 4e7), Constraint("peak_bytes", 1.2e6)))
    strategy = predictor_guided(NASBENCH_MACRO, random.Random(0), constraints=limits, candidates=SOME)
    kept = [limits.violation(graph_metrics(graph)) == 0 for graph in SOME.graphs]
    assert 30 < sum(kept) < len(SOME)
    told = drive(strategy, 30)
    assert all(kept[SOME.index_by_architecture[found.architecture]] for found in told)
    assert set(strategy.best().metrics) == {"accuracy", "latency_ms", "macs", "peak_bytes"}


class Fixed:
    """Predicts the same of every graph, and counts what it is taught."""

    def __init__(self, mean, std):
        self.mean, self.std, self.taught = mean, std, []

    def fit(self, graphs, targets):
        self.taught.append(len(targets))

    def predict(self, graphs):
        return Prediction(numpy.full(len(graphs), self.mean), numpy.full(len(graphs), self.std))


@pytest.mark.parametrize(("mean", "std"), list(itertools.product((13.0, 16.0, 20.0), (0.0, 3.0))))
def test_chances_of_keeping_are_normal_and_multiply(mean, std):
    limits = Constraints((*SLOW.limits, Constraint("macs", 4e7)))
    predictors = MetricPredictors(
        ["latency_ms", "macs"], {"latency_ms": Fixed(mean, std)}, pretrained=["latency_ms"], config=GuidanceConfig()
    )
    expected = norm.cdf(16.0, mean, std) if std else float(mean <= 16)
    fits = numpy.array([cost(graph).macs <= 4e7 for graph in SOME.graphs])
    assert chance_of_keeping(limits, predictors, SOME.graphs) == pytest.approx(expected * fits)


def test_cost_predictors_learn_when_there_are_enough_labels_and_pretrained_ones_never():
    taught, ready, config = Fixed(15.0, 1.0), Fixed(15.0, 1.0), GuidanceConfig(num_first_costs=12, refit_every=4)
    for cost_predictor, pretrained in ((taught, ()), (ready, ["latency_ms"])):
        strategy = PredictorGuided(
            NASBENCH_MACRO, random.Random(0), predictor=GraphGaussianProcess(), constraints=SLOW, candidates=SOME,
            cost_predictors={"latency_ms": cost_predictor}, pretrained_costs=pretrained, config=config,
        )  # fmt: skip
        drive(strategy, 20)
    assert taught.taught == [14, 18]
    assert ready.taught == []


def test_networks_that_do_not_run_teach_the_latency_predictor_to_avoid_their_like():
    graphs, predictor = SOME.graphs[:60], LatencyPredictor()
    measurements = Measurements([Objective("accuracy", "max")], SLOW, lambda found: graphs[0])
    for found in SOME.architectures[:60]:
        runs = found.genotype[5] != "2"
        latency = latency_of(found) if runs else math.inf
        measurements.add(Evaluation(found, {"accuracy": 0.5, "latency_ms": latency}))
    predictors = MetricPredictors(["latency_ms"], {"latency_ms": predictor}, config=GuidanceConfig())
    predictors.learn(measurements, graphs)
    chances = chance_of_keeping(SLOW, predictors, graphs)
    does_not_run = numpy.array([math.isinf(value) for value in measurements.column("latency_ms")])
    assert 5 < does_not_run.sum() < 40
    assert chances[does_not_run].max() < 0.01


def test_missing_predictors_and_metrics_are_named():
    with pytest.raises(ConfigError, match="expected a predictor of latency_ms, got"):
        PredictorGuided(NASBENCH_MACRO, random.Random(0), predictor=GraphGaussianProcess(), constraints=SLOW)
    strategy = predictor_guided(NASBENCH_MACRO, random.Random(0), constraints=SLOW)
    with pytest.raises(ConfigError, match="expected metrics accuracy, latency_ms, got accuracy"):
        strategy.tell([Evaluation(strategy.ask(1)[0], {"accuracy": 0.5})])
