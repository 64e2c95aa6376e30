"""NSGA-II's parts against their definitions, and the trade-offs that it finds."""

import itertools
import random

import numpy
import pytest

from nasengine.errors import ConfigError
from nasengine.graph import cost
from nasengine.protocols import Evaluation
from nasengine.strategies import Objective, ParetoEvolution, hypervolume
from nasengine.strategies.non_dominated_sorting import crowding_distances, front_numbers, ranking
from search_spaces.nasbench_macro import NASBENCH_MACRO


def points(seed, count=25, columns=2):
    return numpy.random.default_rng(seed).integers(0, 8, (count, columns)).astype(float)  # with ties


def beats(left, right):
    return all(left >= right) and any(left > right)


@pytest.mark.parametrize(("seed", "columns"), list(itertools.product(range(4), (1, 2, 3))))
def test_fronts_are_what_is_left_undominated_when_the_fronts_before_are_gone(seed, columns):
    every = points(seed, columns=columns)
    left, expected, number = set(range(len(every))), {}, 0
    while left:
        front = [one for one in left if not any(beats(every[other], every[one]) for other in left)]
        expected |= dict.fromkeys(front, number)
        left -= set(front)
        number += 1
    assert front_numbers(every).tolist() == [expected[index] for index in range(len(every))]


@pytest.mark.parametrize("seed", range(4))
def test_hypervolume_counts_the_dominated_squares_of_a_grid(seed):
    every = points(seed) - 2
    squares = sum(
        any(x < point[0] and y < point[1] for point in every) for x, y in itertools.product(range(6), range(6))
    )
    assert hypervolume(every, (0.0, 0.0)) == squares
    assert hypervolume(every[:0], (0.0, 0.0)) == 0.0


def test_room_is_the_share_of_the_range_between_neighbours():
    front = numpy.array([[0.0, 10.0], [2.0, 6.0], [3.0, 5.0], [10.0, 0.0]])
    assert crowding_distances(front).tolist() == pytest.approx([numpy.inf, 0.3 + 0.5, 0.8 + 0.6, numpy.inf])
    assert ranking(front).tolist()[1:3] == [3, 2]
    assert crowding_distances(numpy.ones((3, 2)))[1] == 0.0


def drive(strategy, count):
    for _ in range(count):
        (found,) = strategy.ask(1)
        value = sum(place * int(gene) for place, gene in enumerate(NASBENCH_MACRO.format(found)))
        strategy.tell([Evaluation(found, {"accuracy": value / 100})])
    return strategy


def test_evolution_beats_chance_by_hypervolume():
    def area(strategy):
        front = [
            (found.metrics["accuracy"], -float(cost(NASBENCH_MACRO.to_graph(found.architecture, config)).macs))
            for found in strategy.front()
        ]
        return hypervolume(numpy.array(front), (0.0, -2e8))

    config = NASBENCH_MACRO.defaults
    evolved = [area(drive(ParetoEvolution(NASBENCH_MACRO, random.Random(s), population_size=12), 84)) for s in (0, 1)]
    drawn = [area(drive(ParetoEvolution(NASBENCH_MACRO, random.Random(s), population_size=84), 84)) for s in (0, 1)]
    assert min(evolved) > max(drawn)


def test_the_front_holds_what_nothing_dominates_and_no_failures():
    strategy = ParetoEvolution(
        NASBENCH_MACRO, random.Random(0), objectives=(Objective("a", "max"), Objective("b", "min"))
    )
    first, second, third, fourth = strategy.ask(4)
    strategy.tell([
        Evaluation(first, {"a": 1.0, "b": 1.0}), Evaluation(second, {"a": 2.0, "b": 2.0}),
        Evaluation(third, {"a": 1.0, "b": 2.0}), Evaluation(fourth, {}, failure="lost"),
    ])  # fmt: skip
    assert [found.architecture for found in strategy.front()] == [first, second]
    assert ParetoEvolution(NASBENCH_MACRO, random.Random(0)).front() == []


def test_measured_costs_come_before_those_of_the_graph():
    strategy = ParetoEvolution(NASBENCH_MACRO, random.Random(0))
    small, large = NASBENCH_MACRO.parse("00000000"), NASBENCH_MACRO.parse("22222222")
    strategy.tell([Evaluation(small, {"accuracy": 0.5, "macs": 9e12}), Evaluation(large, {"accuracy": 0.5})])
    assert [found.architecture for found in strategy.front()] == [large]


def test_messages():
    with pytest.raises(ConfigError, match="objective macs: expected direction max or min, got 'down'"):
        Objective("macs", "down")
    with pytest.raises(ConfigError, match="expected at least one objective and two parents, got 0 and 20"):
        ParetoEvolution(NASBENCH_MACRO, random.Random(0), objectives=())
    strategy = ParetoEvolution(NASBENCH_MACRO, random.Random(0), objectives=(Objective("latency_ms", "min"),))
    with pytest.raises(ConfigError, match="expected metrics latency_ms, got accuracy"):
        strategy.tell([Evaluation(strategy.ask(1)[0], {"accuracy": 0.5})])
