"""Exact division of candidates."""

from itertools import product

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasengine.errors import ConfigError
from nasengine.supernet.splitting import Partition, best_partition, normalized_cut, within_group_sum
from nasengine.supernet.splitting.partition import set_partitions

STIRLING = {(3, 2): 3, (4, 2): 7, (5, 2): 15, (5, 3): 25, (7, 2): 63, (8, 2): 127, (8, 4): 1701}


def random_distance(seed: int, size: int) -> numpy.ndarray:
    rng = numpy.random.default_rng(seed)
    values = rng.uniform(0, 2, (size, size))
    values = (values + values.T) / 2
    numpy.fill_diagonal(values, 0.0)
    return values


def planted(groups: list[list[int]], noise: float, seed: int = 0) -> numpy.ndarray:
    size = sum(map(len, groups))
    distance = numpy.full((size, size), 1.2)
    for group in groups:
        distance[numpy.ix_(group, group)] = 0.4
    distance += noise * (random_distance(seed, size) - 1)
    numpy.fill_diagonal(distance, 0.0)
    return distance


def textbook_cut(distance, groups) -> float:
    """Normalised cut by its definition, pair by pair."""
    size = len(distance)
    total = 0.0
    for group in groups:
        leaving = sum(1 - distance[i, j] / 2 for i in group for j in range(size) if j not in group)
        association = sum(1 - distance[i, j] / 2 for i in group for j in range(size) if j != i)
        total += leaving / association
    return total * (size - 1) / (size * (len(groups) - 1))


def textbook_sum(distance, groups) -> float:
    return sum(distance[i, j] for group in groups for i in group for j in group if i < j)


@pytest.mark.parametrize(("size", "num_groups"), STIRLING)
def test_all_divisions_are_listed_once(size, num_groups):
    found = list(set_partitions(size, num_groups))
    assert len(found) == len(set(found)) == STIRLING[size, num_groups]
    for groups in found:
        assert sorted(item for group in groups for item in group) == list(range(size))


@given(seed=st.integers(0, 10**6), size=st.integers(3, 6), num_groups=st.integers(2, 3))
@pytest.mark.parametrize(("criterion", "textbook"), [(normalized_cut, textbook_cut), (within_group_sum, textbook_sum)])
def test_best_division_against_brute_force_over_all_labellings(criterion, textbook, seed, size, num_groups):
    distance = random_distance(seed, size)
    groups, value = best_partition(distance, num_groups, criterion)
    best = min(
        textbook(distance, tuple(tuple(i for i in range(size) if labels[i] == g) for g in range(num_groups)))
        for labels in product(range(num_groups), repeat=size)
        if len(set(labels)) == num_groups
    )
    assert value == pytest.approx(best)
    assert textbook(distance, groups) == pytest.approx(best)


@pytest.mark.parametrize("groups", [[[0, 1], [2, 3, 4, 5, 6]], [[0, 2, 4], [1, 3, 5, 6]], [[3], [0, 1, 2, 4]]])
def test_planted_groups_are_found_whatever_their_sizes(groups):
    found, value = best_partition(planted(groups, noise=0.1), 2)
    assert sorted(map(list, found)) == sorted(groups)
    assert value < 0.95


def test_equal_distances_prefer_no_division_but_the_released_objective_does():
    distance = planted([[0], [1], [2], [3], [4], [5], [6]], noise=0.0)
    values = {textbook_cut(distance, groups) for groups in set_partitions(7, 2)}
    assert max(values) - min(values) < 1e-12
    assert values.pop() == pytest.approx(1.0)
    assert best_partition(distance, 2)[1] == pytest.approx(1.0)
    sizes = sorted(map(len, best_partition(distance, 2, within_group_sum)[0]))
    assert sizes == [3, 4]


def test_masks_are_disjoint_and_cover_what_was_allowed():
    allowed = {("cell", 0): (0, 1, 2), ("cell", 1): (0, 1)}
    masks = Partition(("cell", 0), ((0, 2), (1,))).masks(allowed)
    assert masks == [{("cell", 0): (0, 2), ("cell", 1): (0, 1)}, {("cell", 0): (1,), ("cell", 1): (0, 1)}]
    with pytest.raises(ConfigError, match=r"expected a division of candidates \[0, 1, 2\]"):
        Partition(("cell", 0), ((0,), (1,))).masks(allowed)


def test_partitions_are_values_with_a_text():
    partition = Partition(("normal", 3), ((0, 2), (1,)))
    assert partition == Partition(("normal", 3), ((0, 2), (1,)))
    assert partition.describe(("none", "skip", "conv")) == "normal 3: none, conv | skip"


@pytest.mark.parametrize(
    ("distance", "ways", "message"),
    [
        (random_distance(0, 3), 4, "ways of a split: expected 2 to 3"),
        (random_distance(0, 3), 1, "ways of a split: expected 2 to 3"),
        (random_distance(0, 13), 2, "expected at most 10"),
        (numpy.full((3, 3), numpy.nan), 2, "expected finite values"),
    ],
)
def test_bad_splits_are_refused(distance, ways, message):
    with pytest.raises(ConfigError, match=message):
        best_partition(distance, ways)
