"""The gate: its rules against scikit-fuzzy's own arithmetic, its estimates by hand, what it saves on a table."""

import math
import random
import statistics

import numpy
import pytest
import skfuzzy

from nasengine.protocols import Evaluation
from nasengine.strategies import FuzzyEvolution, GateConfig
from nasengine.strategies.gate_rules import DEMANDS, RULES, TERMS, demanded_share
from nasengine.strategies.similarity_gate import Estimate, SimilarityGate
from search_spaces.nasbench_macro import NASBENCH_MACRO


@pytest.mark.parametrize("inputs", [(1.0, 0.0, 0.0), (0.625, 0.5, 0.25), (0.0, 1.0, 0.5), (0.6875, 0.3125, 0.125)])
def test_the_grid_is_mamdani_inference(inputs):
    shares, points = numpy.linspace(0, 1, 101), numpy.linspace(0, 1, 17)
    total = numpy.zeros(101)
    for words, demand in RULES.items():
        strength = min(
            skfuzzy.interp_membership(points, skfuzzy.trapmf(points, TERMS[variable][word]), value)
            for variable, word, value in zip(TERMS, words, inputs, strict=True)
        )
        total = numpy.fmax(total, numpy.fmin(strength, skfuzzy.trimf(shares, DEMANDS[demand])))
    assert demanded_share(*inputs) == pytest.approx(skfuzzy.centroid(shares, total))


def test_rules_say_something_about_every_combination_of_words():
    assert len(RULES) == math.prod(len(words) for words in TERMS.values())
    assert demanded_share(1.0, 0.0, 0.0) > demanded_share(1.0, 0.0, 1.0) > demanded_share(0.0, 1.0, 1.0)
    assert demanded_share(7.0, -3.0, 0.0) == demanded_share(1.0, 0.0, 0.0)


def test_estimates_are_means_of_similar_architectures_weighted_by_similarity():
    gate = SimilarityGate(random.Random(0), GateConfig(sharpness=2.0))
    for genotype, value in (("aaaa", 1.0), ("aabb", 0.0), ("bbbb", 9.0)):
        gate.add(tuple(genotype), value)
    found = gate.estimate(tuple("aaab"), threshold=0.5)
    weights = [math.exp(2.0 * 4 * (similarity - 1)) for similarity in (0.75, 0.75)]
    assert found.mean == pytest.approx(weights[0] / sum(weights))
    assert found.similarity == 0.75
    assert found.spread == pytest.approx(0.5 / numpy.std([1, 0, 9]))
    assert gate.estimate(tuple("abba"), threshold=0.8) is None


def test_the_threshold_rises_as_the_population_converges():
    gate = SimilarityGate(random.Random(0), GateConfig(first_threshold=0.4, last_threshold=0.8))
    for genotype in ("aa", "bb", "aa"):
        gate.add(tuple(genotype), 1.0)
    assert gate.threshold([0, 2]) == pytest.approx(0.8)
    assert gate.threshold([0, 1]) == pytest.approx(0.6)


def test_poor_estimates_are_stopped_except_for_a_share_of_them():
    poor, good = Estimate(0.1, 0.0, 1.0), Estimate(0.95, 0.0, 1.0)
    living = [value / 10 for value in range(11)]
    gate = SimilarityGate(random.Random(0), GateConfig(exempt_share=0.1))
    assert gate.passes(None, living)
    assert all(gate.passes(good, living) for _ in range(50))
    assert 60 < sum(gate.passes(poor, living) for _ in range(1000)) < 140


def regret(table, rng, **settings):
    strategy = FuzzyEvolution(NASBENCH_MACRO, rng, **settings)
    best = 0.0
    for _ in range(60):
        (found,) = strategy.ask(1)
        value = table[NASBENCH_MACRO.format(found)]
        best = max(best, value)
        strategy.tell([Evaluation(found, {"accuracy": value / 100})])
    return max(table.values()) - best


@pytest.mark.benchmark_data
def test_the_gate_saves_measurements_on_a_table(benchmark_table):
    table = {row["arch"]: float(row["cifar10_test_mean"]) for row in benchmark_table("nasbench_macro")}
    gated = [regret(table, random.Random(seed)) for seed in range(2000, 2015)]
    open_gate = GateConfig(exempt_share=1.0)
    ungated = [regret(table, random.Random(seed), gate=open_gate) for seed in range(2000, 2015)]
    assert statistics.fmean(gated) < statistics.fmean(ungated)
    assert statistics.fmean(gated) < 0.12
