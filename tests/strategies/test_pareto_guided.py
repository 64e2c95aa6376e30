"""Guided trade-offs: fronts keep limits, beat evolution, and take what predictors know already."""

import random

import numpy
import pytest

from nasengine.errors import ConfigError
from nasengine.gene_space import GeneSpace
from nasengine.graph import cost
from nasengine.protocols import Evaluation
from nasengine.strategies import (
    Candidates,
    Constraint,
    Constraints,
    GuidanceConfig,
    Objective,
    ParetoEvolution,
    hypervolume,
)
from predictors.guided import pareto_guided
from search_spaces.nasbench_macro import NASBENCH_MACRO

SMALL = GeneSpace(
    name="small",
    title="the first six layers of NAS-Bench-Macro",
    paper="none",
    choices=(("0", "1", "2"),) * 6,
    to_graph_of=lambda genes, config: NASBENCH_MACRO.to_graph(NASBENCH_MACRO.parse("".join(genes) + "00"), config),
    defaults=NASBENCH_MACRO.defaults,
    separator="",
)
SOME = Candidates.of(NASBENCH_MACRO, list(NASBENCH_MACRO.enumerate())[::9], NASBENCH_MACRO.defaults)
MACS = {found: float(cost(graph).macs) for found, graph in zip(SOME.architectures, SOME.graphs, strict=True)}
ACCURACY, LATENCY = Objective("accuracy", "max"), Objective("latency_ms", "min")


def measured(found):
    """Late layers are worth more, so that macs do not tell all."""
    worth = sum(place * int(gene) for place, gene in enumerate(found.genotype))
    space = SMALL if found.space == "small" else NASBENCH_MACRO
    macs = MACS.get(found) or float(cost(space.to_graph(found, space.defaults)).macs)
    return Evaluation(found, {"accuracy": worth / 60, "latency_ms": 2.0 + macs / 1e7})


def drive(strategy, count):
    for _ in range(count):
        strategy.tell([measured(strategy.ask(1)[0])])
    return strategy


def volume(strategy):
    points = [[found.metrics["accuracy"], -found.metrics["macs"]] for found in strategy.front()]
    return hypervolume(numpy.array(points), (0.0, -2e8))


def test_trade_offs_beat_evolution_without_a_predictor():
    pairs = []
    for seed in (0, 1):
        guided = pareto_guided(SMALL, random.Random(seed), config=GuidanceConfig(pool_size=729))
        evolved = ParetoEvolution(SMALL, random.Random(seed), population_size=10)
        pairs.append((volume(drive(guided, 50)), volume(drive(evolved, 50))))
    assert all(guided > evolved for guided, evolved in pairs)


def test_latency_is_learnt_and_limits_hold_for_the_front():
    limits = Constraints((Constraint("latency_ms", 8.0), Constraint("num_parameters", 1.2e6)))
    strategy = pareto_guided(
        NASBENCH_MACRO, random.Random(0), objectives=(ACCURACY, LATENCY), constraints=limits, candidates=SOME,
        reference={"accuracy": 0.0, "latency_ms": 20.0}, config=GuidanceConfig(num_first=20),
    )  # fmt: skip
    drive(strategy, 45)
    found = strategy.measured.evaluations
    kept = [limits.violation(one.metrics) == 0 for one in found]
    assert sum(kept[25:]) > sum(kept[:20])
    assert len(strategy.front()) > 2
    assert all(limits.violation(one.metrics) == 0 for one in strategy.front())
    assert strategy.best().metrics["accuracy"] == max(one.metrics["accuracy"] for one in strategy.front())
    assert strategy.nearest() == strategy.best()


def test_three_objectives_and_predictors_that_are_fitted_already():
    latency = LatencyOfMacs()
    strategy = pareto_guided(
        NASBENCH_MACRO, random.Random(0), objectives=(ACCURACY, LATENCY, Objective("num_parameters", "min")),
        predictors={"latency_ms": latency}, pretrained=["latency_ms"], candidates=SOME,
    )  # fmt: skip
    drive(strategy, 20)
    assert latency.num_fits == 0
    assert latency.num_predictions == 1  # nothing is asked twice of a predictor that learns nothing
    points = strategy.measured.points
    chosen = {found.architecture for found in strategy.front()}
    beaten = [((points >= one).all(axis=1) & (points > one).any(axis=1)).any() for one in points]
    architectures = [found.architecture for found in strategy.measured.evaluations]
    assert chosen == {found for found, lost in zip(architectures, beaten, strict=True) if not lost}


class LatencyOfMacs:
    """Knows latencies, and counts what is asked of it."""

    def __init__(self):
        self.num_fits = self.num_predictions = 0

    def fit(self, graphs, targets):
        self.num_fits += 1

    def predict(self, graphs):
        from nasengine.protocols import Prediction

        self.num_predictions += 1
        return Prediction(numpy.array([2.0 + cost(graph).macs / 1e7 for graph in graphs]), numpy.ones(len(graphs)))


def test_messages():
    with pytest.raises(ConfigError, match="pareto_guided: expected at least two objectives, got 1"):
        pareto_guided(NASBENCH_MACRO, random.Random(0), objectives=(ACCURACY,))
    with pytest.raises(ConfigError, match=r"expected a reference for macs, got \{'accuracy': 0.5\}"):
        pareto_guided(NASBENCH_MACRO, random.Random(0), reference={"accuracy": 0.5})
