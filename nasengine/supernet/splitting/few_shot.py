"""Few-shot supernets: train one supernet, split it where its candidates disagree, hand out the parts as leaves.

Hu et al., 2022, arXiv 2203.15207, section 3.3. Architecture weights stay equal while splitting. Edges of all kinds of
cells may be split, each part where its own candidates disagree most. Two baselines differ in where they split and how:
at random, or exhaustively into single candidates (Zhao et al., 2021, arXiv 2006.06863).
"""

import random
from collections.abc import Sequence
from typing import Any, Generic

import torch

from nasengine.errors import ConfigError
from nasengine.graph.supergraph import Selection
from nasengine.protocols import Task, TaskState
from nasengine.randomness import seed_of
from nasengine.supernet.splitting.kinds import SplitKind, Supernets
from nasengine.supernet.splitting.partition import Partition
from nasengine.supernet.splitting.schedule import Epoch, Split, SplitSchedule, plan
from nasengine.supernet.splitting.scores import EdgeScore, best_edge


class SplitTraining(Generic[Supernets]):
    """Training of a supernet and its parts up to the last split, as a task; its steps are epochs and levels of splits.

    Args:
        kind: of the supernet.
        supernet: the whole, trained during the warm-up.
        schedule: when and how to split.
        seed: of the run.

    Raises:
        ConfigError: nothing can be split, more splits than edges that can be split, or more ways than candidates.
    """

    name = "supernet"

    def __init__(self, kind: SplitKind[Supernets], supernet: Supernets, schedule: SplitSchedule, *, seed: int) -> None:
        self.kind, self.schedule, self.seed = kind, schedule, seed
        self._whole = kind.choices(supernet)
        check_schedule(self._whole, schedule, kind.space_name)
        self.partitions: list[list[Partition]] = []
        self.plan: list[Epoch | Split] | None = None
        self.supernets = [supernet]
        self._root = supernet
        self._start_parts()

    @property
    def num_steps(self) -> int:
        """Epochs and levels of splits."""
        return len(self._steps())

    @property
    def leaves(self) -> list[Supernets]:
        """What the last split made; they cover the space and share no choice on the edges that were split."""
        return self.supernets

    def run_step(self, step: int) -> dict[str, Any]:
        """Train one part for an epoch, or split all parts."""
        entry = self._steps()[step]
        if isinstance(entry, Split):
            return {"splits": self._split(entry.level)}
        return {"part": entry.part, **self.parts[entry.part].run_step(entry.number)}

    def _steps(self) -> list[Epoch | Split]:
        """The plan; an exhaustive split makes as many parts as its edge has candidates, assumed the same everywhere."""
        if self.plan is None:
            self.plan = list(plan(self.schedule, _num_groups(self._whole, self.schedule)))
        return self.plan

    def _start_parts(self) -> None:
        """One training for each part; none after the last split, when leaves are trained by themselves."""
        level, schedule = len(self.partitions), self.schedule
        if level == schedule.num_splits > 0:
            self.parts: list[Task] = []
            return
        epochs = max(1, schedule.warmup_epochs + schedule.epochs_between * (schedule.num_splits - 1))
        self.parts = [
            self.kind.training(part, epochs, seed_of(self.seed, "part", level, index))
            for index, part in enumerate(self.supernets)
        ]

    # --- splitting --------------------------------------------------------------------------------------------------

    def _split(self, level: int) -> list[dict[str, Any]]:
        """Split every part; returns what was measured."""
        reports, chosen = [], []
        children: list[Supernets] = []
        is_last = level == self.schedule.num_splits - 1
        for index, part in enumerate(self.supernets):
            partition, report = self._divide(part, level, index)
            chosen.append(partition)
            reports.append(report)
            children.extend(self._child(part, mask, is_last) for mask in self._masks(part, partition))
        self.partitions.append(chosen)
        self.supernets = children
        self._start_parts()
        return reports

    def _divide(self, part: Supernets, level: int, index: int) -> tuple[Partition, dict[str, Any]]:
        """The partition of one part, and how it came about."""
        schedule, seed = self.schedule, seed_of(self.seed, "splitting", level, index)
        choices = self._splittable(part)
        if schedule.by == "gradient-matching":
            contexts = seed_of(self.seed, "contexts", level, index)
            scores = self.kind.scores(part, choices, schedule, batch_seed=seed, context_seed=contexts)
            best = best_edge(scores)
            partition = Partition(best.key, best.picks())
            return partition, self._report(part, partition) | _measured(self._names(part, partition), best, scores)
        rng = random.Random(seed)
        key = rng.choice(list(choices))
        picks = list(choices[key])
        groups = [[pick] for pick in picks]
        if schedule.by == "random":
            rng.shuffle(picks)
            groups = [sorted(picks[place :: schedule.ways]) for place in range(schedule.ways)]
        partition = Partition(key, tuple(sorted(map(tuple, groups))))
        return partition, self._report(part, partition)

    def _splittable(self, part: Supernets) -> Selection:
        """Choices with enough candidates left to be divided; those that were divided already count where they may."""
        return _open_choices(
            self.kind.choices(part), self.schedule.ways, None if self.schedule.split_again else self._whole
        )

    def _masks(self, part: Supernets, partition: Partition) -> list[Selection]:
        """Restrictions of the parts; only the choice that is divided loses what belongs to no group."""
        own = self.kind.choices(part)[partition.key]
        return partition.masks({**self.kind.allowed(part), partition.key: own})

    def _names(self, part: Supernets, partition: Partition) -> Sequence[str]:
        return self.kind.candidates(part, partition.key)

    def _report(self, part: Supernets, partition: Partition) -> dict[str, Any]:
        """What the journal says about a split."""
        names, place = self._names(part, partition), self.kind.place(part, partition.key)
        groups = [[names[pick] for pick in group] for group in partition.groups]
        return {"edge": [*partition.key], "groups": groups} | ({} if place is None else {"place": place})

    def _child(self, parent: Supernets, mask: Selection, is_last: bool) -> Supernets:
        is_new = is_last and self.schedule.restart
        return self.kind.child(parent, mask, seed_of(self.seed, "leaf", str(mask)) if is_new else None)

    # --- state ------------------------------------------------------------------------------------------------------

    def state(self) -> TaskState:
        """How the parts came about, and their weights; leaves that start anew have none worth keeping."""
        tensors: dict[str, torch.Tensor] = {}
        for index, part in enumerate(self.parts):
            tensors |= {f"part{index}/{name}": value for name, value in part.state().tensors.items()}
        if not self.parts and not self.schedule.restart:
            for index, leaf in enumerate(self.supernets):
                tensors |= {f"leaf{index}/{name}": value for name, value in leaf.state_dict().items()}
        levels = [[[*split.key, split.groups] for split in level] for level in self.partitions]
        return TaskState(tensors, {"partitions": levels})

    def load_state(self, state: TaskState) -> None:
        """Go back to a state: the splits are replayed, then every part takes its weights."""
        self.partitions, self.supernets = [], [self._root]
        for number, level in enumerate(state.values["partitions"]):
            chosen = [Partition((kind, edge), tuple(map(tuple, groups))) for kind, edge, groups in level]
            pairs = list(zip(self.supernets, chosen, strict=True))
            is_last = number == self.schedule.num_splits - 1
            self.supernets = [
                self._child(whole, mask, is_last) for whole, part in pairs for mask in self._masks(whole, part)
            ]
            self.partitions.append(chosen)
        self._start_parts()
        for index, part in enumerate(self.parts):
            part.load_state(TaskState(_under(state, f"part{index}/")))
        if not self.parts and not self.schedule.restart:
            for index, leaf in enumerate(self.supernets):
                leaf.load_state_dict(_under(state, f"leaf{index}/"))


def _under(state: TaskState, prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.tensors.items() if name.startswith(prefix)}


def check_schedule(whole: Selection, schedule: SplitSchedule, name: str) -> None:
    """Refuse schedules that cannot be carried out, before anything is trained.

    Args:
        whole: what a split may divide, before the first one.
        schedule: to check.
        name: of the space.

    Raises:
        ConfigError: nothing can be split, more splits than choices that can be split, or more ways than candidates.
    """
    counts = [len(picks) for picks in whole.values()]
    if schedule.num_splits < 1:
        raise ConfigError(f"--splits: expected at least 1 to split a supernet, got {schedule.num_splits}")
    if max(counts, default=0) < 2:
        raise ConfigError(f"--splits: expected a space with an edge of 2 or more candidates, got {name} with none")
    if not 2 <= schedule.ways <= max(counts):
        raise ConfigError(
            f"--ways: expected 2 to {max(counts)}, the most candidates that an edge of {name} has, got {schedule.ways}"
        )
    splittable = len(_open_choices(whole, schedule.ways))
    if splittable < schedule.num_splits:
        raise ConfigError(
            f"--splits: expected at most {splittable}, the edges with {schedule.ways} or more candidates, "
            f"got {schedule.num_splits}"
        )
    if schedule.by == "exhaustive" and len({count for count in counts if count >= schedule.ways}) > 1:
        raise ConfigError(f"exhaustive splits: expected edges with equally many candidates, got {sorted(set(counts))}")


def _open_choices(choices: Selection, ways: int, whole: Selection | None = None) -> Selection:
    """Choices with enough candidates, and with all those of the whole where that is given."""
    return {
        key: picks
        for key, picks in choices.items()
        if len(picks) >= ways and (whole is None or set(picks) == set(whole[key]))
    }


def _num_groups(whole: Selection, schedule: SplitSchedule) -> int:
    if schedule.by != "exhaustive":
        return schedule.ways
    return max(len(picks) for picks in whole.values())


def _measured(names: Sequence[str], best: EdgeScore, scores: list[EdgeScore]) -> dict[str, Any]:
    """What the journal and the picture say about scores."""
    return {
        "candidates": [names[pick] for pick in best.candidates],
        "distance": [[round(float(value), 5) for value in row] for row in best.distance],
        "values": {f"{score.key[0]} {score.key[1]}": round(score.value, 5) for score in scores},
        "num_batches": {f"{score.key[0]} {score.key[1]}": score.num_batches for score in scores},
    }
