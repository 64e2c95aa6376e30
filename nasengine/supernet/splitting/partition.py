"""Dividing the candidates of an edge into groups that agree, as a graph-clustering problem solved exactly.

Hu et al., 2022, arXiv 2203.15207 ("Generalizing Few-Shot NAS with Gradient Matching") states a minimal cut; its
released code minimises the sum of distances inside groups, which prefers equal sizes (of 7 candidates 3 and 4). The
normalised cut (Shi and Malik, 2000) has no such preference: on equal distances all divisions cost the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy

from nasengine.errors import ConfigError
from nasengine.graph.supergraph import ChoiceKey, Selection

Groups = tuple[tuple[int, ...], ...]
Criterion = Callable[[numpy.ndarray, numpy.ndarray], numpy.ndarray]
"""Takes distances (..., n, n) and members (num_divisions, num_groups, n); gives (..., num_divisions)."""

MAX_CANDIDATES = 10  # 10 candidates have up to 42,525 divisions into a number of groups; the spaces have at most 8
ROUNDING = 1e-12


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


def normalized_cut(distance: numpy.ndarray, members: numpy.ndarray) -> numpy.ndarray:
    """Share of each group's affinity that leaves it, summed over groups, relative to that of equal affinities.

    The affinity of two candidates is ``1 - distance / 2``, the cosine of their gradients moved to [0, 1]. The value is
    1 where all pairs agree equally well, and 0 where groups have nothing in common.

    Args:
        distance: (..., num_candidates, num_candidates), values in [0, 2].
        members: which candidates each group of each division has, (num_divisions, num_groups, num_candidates).

    Returns:
        (..., num_divisions).
    """
    size, num_groups = distance.shape[-1], members.shape[1]
    affinity = (1.0 - distance / 2.0) * (1 - numpy.eye(size))
    association = affinity.sum(-1) @ members.reshape(-1, size).T
    association = association.reshape(*association.shape[:-1], *members.shape[:2])
    leaving = association - _inside(affinity, members)
    shares = numpy.divide(leaving, association, out=numpy.ones_like(leaving), where=association > 0)
    return shares.sum(-1) / ((num_groups - 1) * size / (size - 1))


def within_group_sum(distance: numpy.ndarray, members: numpy.ndarray) -> numpy.ndarray:
    """Sum of distances inside groups, each pair once: the objective of the paper's released code.

    Arguments and result are those of ``normalized_cut``.
    """
    return _inside(distance, members).sum(-1) / 2


def _inside(values: numpy.ndarray, members: numpy.ndarray) -> numpy.ndarray:
    """Sum over ordered pairs inside each group, (..., num_divisions, num_groups)."""
    pairs = members[..., :, None] * members[..., None, :]
    found = values.reshape(*values.shape[:-2], -1) @ pairs.reshape(-1, values.shape[-1] ** 2).T
    return found.reshape(*found.shape[:-1], *members.shape[:2])


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
    ((groups, value),) = best_partitions(distance[None], num_groups, criterion)
    return groups, value


def best_partitions(
    distances: numpy.ndarray, num_groups: int, criterion: Criterion = normalized_cut
) -> list[tuple[Groups, float]]:
    """``best_partition`` of each of several matrices, (num_matrices, num_candidates, num_candidates)."""
    size = distances.shape[-1]
    if not 2 <= num_groups <= size:
        raise ConfigError(f"ways of a split: expected 2 to {size}, the number of candidates, got {num_groups}")
    if size > MAX_CANDIDATES:
        raise ConfigError(f"candidates of an edge: expected at most {MAX_CANDIDATES} for an exact split, got {size}")
    if not numpy.isfinite(distances).all():
        raise ConfigError(
            "distances between candidates: expected finite values, got nan or inf; lower the learning rate"
        )
    divisions, members = _divisions(size, num_groups)
    values = criterion(distances, members)
    # Values that differ by rounding alone are equal: the first of them wins, whatever the order of additions.
    chosen = (values <= values.min(1, keepdims=True) + ROUNDING).argmax(1)
    return [(divisions[place], float(row[place])) for row, place in zip(values, chosen, strict=True)]


@lru_cache(maxsize=16)
def _divisions(size: int, num_groups: int) -> tuple[list[Groups], numpy.ndarray]:
    """All divisions, and which candidates each group of each has."""
    found = list(set_partitions(size, num_groups))
    members = numpy.zeros((len(found), num_groups, size))
    for number, groups in enumerate(found):
        for place, group in enumerate(groups):
            members[number, place, list(group)] = 1.0
    return found, members


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
