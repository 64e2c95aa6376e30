"""The pre-filter: what it lets through, what the strategy behind it hears, and that it goes on after a stop."""

import random

import pytest

from nasengine.errors import ConfigError
from nasengine.protocols import Evaluation, Strategy
from nasengine.strategies import FuzzyEvolution, ParetoEvolution, PreFilter, RandomStrategy, RegularizedEvolution
from search_spaces.nasbench_macro import NASBENCH_MACRO

STRATEGIES = [RandomStrategy, RegularizedEvolution, FuzzyEvolution, ParetoEvolution]


def deep(architectures) -> list[int]:
    return [NASBENCH_MACRO.format(one).count("2") for one in architectures]


class Recorded:
    """A strategy that notes what it is told."""

    def __init__(self):
        self.strategy, self.told, self.asked = RandomStrategy(NASBENCH_MACRO, random.Random(0)), [], []

    def ask(self, count):
        self.asked = self.strategy.ask(count)
        return self.asked

    def tell(self, evaluations):
        self.told += evaluations


def test_the_best_share_is_measured_and_the_rest_reported_as_failed():
    behind = Recorded()
    strategy = PreFilter(behind, deep, num_children=6)
    assert isinstance(strategy, Strategy)
    found = strategy.ask(2)
    different = list(dict.fromkeys(behind.asked))
    assert len(behind.asked) == 12
    assert sorted(deep(found)) == sorted(deep(different))[-2:]
    assert {one.architecture for one in behind.told} == set(different) - set(found)
    assert all(one.failure == "predicted to be worse" for one in behind.told)
    measured = Evaluation(found[0], {"accuracy": 0.5})
    strategy.tell([measured])
    assert behind.told[-1] is measured


@pytest.mark.parametrize("make", STRATEGIES)
def test_it_stands_before_any_strategy_and_raises_the_score_of_what_is_measured(make):
    means = []
    for num_children in (1, 8):
        strategy = PreFilter(make(NASBENCH_MACRO, random.Random(1)), deep, num_children=num_children)
        scores = []
        for _ in range(30):
            (found,) = strategy.ask(1)
            scores += deep([found])
            strategy.tell([Evaluation(found, {"accuracy": 0.5})])
        means.append(sum(scores) / len(scores))
    assert means[1] > means[0] + 1


def test_one_proposal_over_and_over_is_still_an_answer():
    same = NASBENCH_MACRO.sample(random.Random(0))

    class Stubborn(Recorded):
        def ask(self, count):
            return [same] * count

    assert PreFilter(Stubborn(), deep, num_children=3).ask(2) == [same, same]


def test_no_children_are_refused():
    with pytest.raises(ConfigError, match="pre-filter: expected at least one proposal to choose from, got 0"):
        PreFilter(Recorded(), deep, num_children=0)
