"""Dividing the candidates of an edge into groups that agree, as a graph-clustering problem solved exactly.

Hu et al., 2022, arXiv 2203.15207 ("Generalizing Few-Shot NAS with Gradient Matching") states a minimal cut; its
released code minimises the sum of distances inside groups, which prefers equal sizes (of 7 candidates 3 and 4). The
normalised cut (Shi and Malik, 2000) has no such preference: on equal distances all divisions cost the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy

from nasengine.errors import ConfigError
from nasengine.graph.supergraph import ChoiceKey, Selection

Groups = tuple[tuple[int, ...], ...]
Criterion = Callable[[numpy.ndarray, Groups], float]
MAX_CANDIDATES = 12  # 12 candidates have 4,213,597 divisions; the spaces have at most 8


@dataclass(frozen=True)
class Partition:
    """A division of the candidates of one choice, as a value.

    Args:
        key: the choice.
        groups: candidate indices, each group ascending, groups ordered by their first candidate.
    """

    key: ChoiceKey
    groups: Groups

    def masks(self, allowed: Selection) -> list[Selection]:
        """One restriction for each group: they cover ``allowed`` and share no architecture.

        Raises:
            ConfigError: the groups are not a division of the candidates that are allowed.
        """
        found = sorted(pick for group in self.groups for pick in group)
        if found != sorted(allowed[self.key]):
            raise ConfigError(
                f"partition of {self.key}: expected a division of candidates "
                f"{sorted(allowed[self.key])}, got {self.groups}"
            )
        return [{**allowed, self.key: group} for group in self.groups]

    def describe(self, names: Sequence[str]) -> str:
        """Text for people: ``normal 3: none, skip_connect | sep_conv_3x3``."""
        kind, edge = self.key
        return f"{kind} {edge}: " + " | ".join(", ".join(names[pick] for pick in group) for group in self.groups)


def normalized_cut(distance: numpy.ndarray, groups: Groups) -> float:
    """Share of each group's affinity that leaves it, summed over groups, relative to that of equal affinities.

    The affinity of two candidates is ``1 - distance / 2``, the cosine of their gradients moved to [0, 1]. The value is
    1 where all pairs agree equally well, and 0 where groups have nothing in common.
    """
    affinity = 1.0 - distance / 2.0
    numpy.fill_diagonal(affinity, 0.0)
    total = 0.0
    for group in groups:
        inside = list(group)
        association = affinity[inside].sum()
        kept = affinity[numpy.ix_(inside, inside)].sum()
        total += (association - kept) / association if association > 0 else 1.0
    size = len(distance)
    return total / ((len(groups) - 1) * size / (size - 1))


def within_group_sum(distance: numpy.ndarray, groups: Groups) -> float:
    """Sum of distances inside groups, each pair once: the objective of the paper's released code."""
    return sum(float(distance[numpy.ix_(group, group)].sum()) / 2 for group in groups)


def best_partition(
    distance: numpy.ndarray, num_groups: int, criterion: Criterion = normalized_cut
) -> tuple[Groups, float]:
    """The division with the smallest criterion, by trying all; of equal ones the first in lexicographic order.

    Args:
        distance: symmetric, (num_candidates, num_candidates), values in [0, 2].
        num_groups: groups, none of them empty.
        criterion: what is to be small.

    Raises:
        ConfigError: more groups than candidates, or too many candidates to try all divisions.
    """
    size = len(distance)
    if not 2 <= num_groups <= size:
        raise ConfigError(f"ways of a split: expected 2 to {size}, the number of candidates, got {num_groups}")
    if size > MAX_CANDIDATES:
        raise ConfigError(f"candidates of an edge: expected at most {MAX_CANDIDATES} for an exact split, got {size}")
    if not numpy.isfinite(distance).all():
        raise ConfigError(
            "distances between candidates: expected finite values, got nan or inf; lower the learning rate"
        )
    scored = ((criterion(distance, groups), groups) for groups in set_partitions(size, num_groups))
    value, groups = min(scored, key=lambda pair: pair[0])
    return groups, value


def set_partitions(size: int, num_groups: int) -> Iterator[Groups]:
    """All divisions of ``range(size)`` into groups, by restricted growth strings (Knuth, 7.2.1.5).

    >>> list(set_partitions(3, 2))
    [((0, 1), (2,)), ((0, 2), (1,)), ((0,), (1, 2))]
    """

    def grow(labels: list[int], used: int) -> Iterator[Groups]:
        if len(labels) == size:
            if used == num_groups:
                yield tuple(tuple(item for item, label in enumerate(labels) if label == group) for group in range(used))
            return
        if num_groups - used > size - len(labels):
            return
        for label in range(min(used + 1, num_groups)):
            yield from grow([*labels, label], max(used, label + 1))

    return grow([], 0)
