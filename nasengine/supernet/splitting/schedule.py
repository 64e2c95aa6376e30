"""When a supernet is split, and how: settings, the published ones, and the steps that follow from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from nasengine.supernet.splitting.partition import within_group_sum
from nasengine.supernet.splitting.scores import GradientMatching

SplitBy = Literal["gradient-matching", "random", "exhaustive"]


@dataclass(frozen=True, slots=True)
class SplitSchedule:
    """When a supernet is split, and how.

    Args:
        warmup_epochs: before the first split.
        num_splits: levels; each splits every part, so that ``ways ** num_splits`` leaves come out.
        ways: groups at each split; ``exhaustive`` makes one of each candidate instead.
        epochs_between: of every part after each split but the last.
        leaf_epochs: of every leaf after the last split, architecture weights included; a task of its own.
        restart: leaves begin with new weights rather than inherited ones, as the paper does after the last split.
        by: by gradient matching, or one of the baselines: a random edge and random groups of equal size, or a random
            edge and all its candidates.
        split_again: edges that a part has already split may be split once more; the paper leaves them alone.
        single_path: train and score on one sampled path a batch rather than on the mixture of all.
        settings: of the score.
    """

    warmup_epochs: int
    num_splits: int
    ways: int = 2
    epochs_between: int = 1
    leaf_epochs: int = 1
    restart: bool = True
    by: SplitBy = "gradient-matching"
    split_again: bool = True
    single_path: bool = False
    settings: GradientMatching = field(default_factory=GradientMatching)


_AS_PUBLISHED = GradientMatching(max_batches=100, stability=None, criterion=within_group_sum)
PRESETS: Mapping[str, SplitSchedule] = {
    "nasbench201": SplitSchedule(15, 2, epochs_between=15, leaf_epochs=30, split_again=False, settings=_AS_PUBLISHED),
    "nasbench201-single-path": SplitSchedule(
        20, 2, epochs_between=20, leaf_epochs=50, split_again=False, single_path=True, settings=_AS_PUBLISHED
    ),
    "darts": SplitSchedule(
        2, 3, epochs_between=2, leaf_epochs=15, split_again=False, settings=replace(_AS_PUBLISHED, hard=False)
    ),
}
"""Schedules of the paper's runs, with its number of batches and its objective. Unlike in its code, edges of reduction
cells take part, and the edge with the smallest objective is split in every space."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch of a part."""

    part: int
    number: int


@dataclass(frozen=True, slots=True)
class Split:
    """A level at which every part is split."""

    level: int


def plan(schedule: SplitSchedule, num_groups: int) -> Iterator[Epoch | Split]:
    """Epochs and splits in order, up to the last split."""
    yield from (Epoch(0, number) for number in range(schedule.warmup_epochs))
    for level in range(schedule.num_splits):
        yield Split(level)
        if level == schedule.num_splits - 1:
            return
        before = schedule.warmup_epochs + level * schedule.epochs_between
        for part in range(num_groups ** (level + 1)):
            yield from (Epoch(part, before + number) for number in range(schedule.epochs_between))
