"""Few-shot supernets: train one supernet, split it where its candidates disagree, hand out the parts as leaves.

Hu et al., 2022, arXiv 2203.15207, section 3.3. Architecture weights stay equal while splitting. Edges of all kinds of
cells may be split, each part where its own candidates disagree most. Two baselines differ in where they split and how:
at random, or exhaustively into single candidates (Zhao et al., 2021, arXiv 2006.06863).
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from nasengine.data import ImageDataset, batches
from nasengine.data.batches import Batch
from nasengine.errors import ConfigError
from nasengine.graph.supergraph import Selection
from nasengine.protocols import TaskState, TrainingRecipe
from nasengine.randomness import seed_of, seeded_generator
from nasengine.supernet.architecture_weights import ArchitectureWeights
from nasengine.supernet.choice import Mixture
from nasengine.supernet.splitting.edges import masks_of, selectable, splittable_edges
from nasengine.supernet.splitting.gradient_matching import EdgeScore, best_edge, score_edges
from nasengine.supernet.splitting.partition import Partition
from nasengine.supernet.splitting.schedule import Epoch, Split, SplitSchedule, plan
from nasengine.supernet.supernet import Supernet
from nasengine.supernet.training.differentiable import ArchitectureTraining, DifferentiableTraining
from nasengine.supernet.training.single_path import SinglePathTraining


class SplitTraining:
    """Training of a supernet and its parts up to the last split, as a task; its steps are epochs and levels of splits.

    Args:
        supernet: the whole, trained during the warm-up.
        dataset: weights learn from ``train``.
        recipe: training of the weights; its number of epochs is not used.
        schedule: when and how to split.
        seed: of the run.

    Raises:
        ConfigError: nothing can be split, more splits than edges that can be split, or more ways than candidates.
    """

    name = "supernet"

    def __init__(
        self, supernet: Supernet, dataset: ImageDataset, recipe: TrainingRecipe, schedule: SplitSchedule, *, seed: int
    ) -> None:
        self.dataset, self.recipe, self.schedule, self.seed = dataset, recipe, schedule, seed
        _check(supernet, schedule)
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
    def leaves(self) -> list[Supernet]:
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
            self.plan = list(plan(self.schedule, _num_groups(self._root, self.schedule)))
        return self.plan

    def _start_parts(self) -> None:
        """One training for each part; none after the last split, when leaves are trained by themselves."""
        level, schedule = len(self.partitions), self.schedule
        if level == schedule.num_splits > 0:
            self.parts = []
            return
        recipe = replace(
            self.recipe, epochs=max(1, schedule.warmup_epochs + schedule.epochs_between * (schedule.num_splits - 1))
        )
        self.parts = [self._training(part, recipe, level, index) for index, part in enumerate(self.supernets)]

    def _training(
        self, supernet: Supernet, recipe: TrainingRecipe, level: int, index: int
    ) -> DifferentiableTraining | SinglePathTraining:
        seed = seed_of(self.seed, "part", level, index)
        if self.schedule.single_path:
            return SinglePathTraining(supernet, self.dataset, recipe, seed=seed)
        architecture = ArchitectureTraining(order=0)
        return DifferentiableTraining(
            supernet, _equal_weights(supernet), self.dataset, recipe, architecture=architecture, seed=seed
        )

    # --- splitting --------------------------------------------------------------------------------------------------

    def _split(self, level: int) -> list[dict[str, Any]]:
        """Split every part; returns what was measured."""
        reports, chosen = [], []
        children: list[Supernet] = []
        is_last = level == self.schedule.num_splits - 1
        for index, part in enumerate(self.supernets):
            partition, report = self._divide(part, level, index)
            chosen.append(partition)
            reports.append(report)
            children.extend(self._child(part, mask, is_last) for mask in masks_of(part, partition))
        self.partitions.append(chosen)
        self.supernets = children
        self._start_parts()
        return reports

    def _divide(self, part: Supernet, level: int, index: int) -> tuple[Partition, dict[str, Any]]:
        """The partition of one part, and how it came about."""
        schedule = self.schedule
        edges = splittable_edges(part, schedule.ways, split_again=schedule.split_again)
        if schedule.by == "gradient-matching":
            scores = score_edges(
                part,
                edges,
                self._mixtures(part, level, index),
                self._random_batches(seed_of(self.seed, "splitting", level, index)),
                num_groups=schedule.ways,
                settings=schedule.settings,
            )
            best = best_edge(scores)
            return Partition(best.key, best.picks()), _report(part, Partition(best.key, best.picks()), scores, best)
        rng = random.Random(seed_of(self.seed, "splitting", level, index))
        key = rng.choice(list(edges))
        picks = list(edges[key])
        groups = [[pick] for pick in picks]
        if schedule.by == "random":
            rng.shuffle(picks)
            groups = [sorted(picks[place :: schedule.ways]) for place in range(schedule.ways)]
        partition = Partition(key, tuple(sorted(map(tuple, groups))))
        return partition, _report(part, partition)

    def _mixtures(self, part: Supernet, level: int, index: int) -> Iterator[Mixture]:
        """What the edges that are not scored compute: the mixture of equal weights, or one path for each batch."""
        if not self.schedule.single_path:
            mixture = _equal_weights(part).mixture(detach=True)
            while True:
                yield mixture
        device = next(part.parameters()).device
        paths = part.space.restrict(part.allowed)
        rng = random.Random(seed_of(self.seed, "contexts", level, index))
        candidates = part.space.topology.candidates
        ones = {kind: torch.ones(len(edges), max(map(len, edges)), device=device) for kind, edges in candidates.items()}
        while True:
            yield Mixture(ones, part.space.selection(paths.sample(rng)))

    def _random_batches(self, seed: int) -> Iterator[Batch]:
        """Training batches without end; all edges of a part see the same ones."""
        number, size = 0, self.schedule.settings.batch_size or self.recipe.batch_size
        while True:
            generator = seeded_generator(seed, number)
            yield from batches(self.dataset.train, self.dataset, size, generator, self.dataset.augmentation)
            number += 1

    def _child(self, parent: Supernet, mask: Selection, is_last: bool) -> Supernet:
        if not (is_last and self.schedule.restart):
            return parent.restrict(mask)
        device = next(parent.parameters()).device
        return Supernet(parent.space, parent.config, seed_of(self.seed, "leaf", str(mask)), mask).to(device)

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
                self._child(whole, mask, is_last) for whole, part in pairs for mask in masks_of(whole, part)
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


def _check(supernet: Supernet, schedule: SplitSchedule) -> None:
    """Refuse schedules that cannot be carried out, before anything is trained."""
    name, counts = supernet.space.name, [len(picks) for picks in selectable(supernet).values()]
    if schedule.num_splits < 1:
        raise ConfigError(f"--splits: expected at least 1 to split a supernet, got {schedule.num_splits}")
    if max(counts, default=0) < 2:
        raise ConfigError(f"--splits: expected a space with an edge of 2 or more candidates, got {name} with none")
    if not 2 <= schedule.ways <= max(counts):
        raise ConfigError(
            f"--ways: expected 2 to {max(counts)}, the most candidates that an edge of {name} has, got {schedule.ways}"
        )
    splittable = len(splittable_edges(supernet, schedule.ways))
    if splittable < schedule.num_splits:
        raise ConfigError(
            f"--splits: expected at most {splittable}, the edges with {schedule.ways} or more candidates, "
            f"got {schedule.num_splits}"
        )
    if schedule.by == "exhaustive" and len({count for count in counts if count >= schedule.ways}) > 1:
        raise ConfigError(f"exhaustive splits: expected edges with equally many candidates, got {sorted(set(counts))}")


def _num_groups(supernet: Supernet, schedule: SplitSchedule) -> int:
    if schedule.by != "exhaustive":
        return schedule.ways
    return max(len(picks) for picks in selectable(supernet).values())


def _equal_weights(supernet: Supernet) -> ArchitectureWeights:
    """Equal weights for all candidates: what parts are trained and scored with while splitting."""
    weights = ArchitectureWeights(supernet.space.topology, allowed=supernet.allowed)
    for alpha in weights.parameters():
        alpha.data.zero_()
    return weights.to(next(supernet.parameters()).device)


def _report(
    supernet: Supernet, partition: Partition, scores: list[EdgeScore] | None = None, best: EdgeScore | None = None
) -> dict[str, Any]:
    """What the journal and the picture say about a split."""
    kind, edge = partition.key
    names = supernet.space.topology.candidates[kind][edge]
    report: dict[str, Any] = {
        "edge": [kind, edge],
        "groups": [[names[pick] for pick in group] for group in partition.groups],
    }
    if best is not None:
        report |= {
            "candidates": [names[pick] for pick in best.candidates],
            "distance": [[round(float(value), 5) for value in row] for row in best.distance],
        }
    if scores:
        report |= {
            "values": {f"{score.key[0]} {score.key[1]}": round(score.value, 5) for score in scores},
            "num_batches": {f"{score.key[0]} {score.key[1]}": score.num_batches for score in scores},
        }
    return report
