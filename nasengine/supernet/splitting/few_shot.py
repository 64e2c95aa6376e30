"""Few-shot supernets: train one supernet, split it where its candidates disagree, train the parts by themselves.

Hu et al., 2022, arXiv 2203.15207, section 3.3. Architecture weights stay equal until the last split. Edges of all kinds
of cells may be split, each part where its own candidates disagree most.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from nasengine.data import ImageDataset, batches
from nasengine.data.batches import Batch
from nasengine.errors import ConfigError
from nasengine.graph.supergraph import ChoiceKey, Selection
from nasengine.optimization import cosine
from nasengine.protocols import TaskState, TrainingRecipe
from nasengine.randomness import seed_of, seeded_generator
from nasengine.supernet.architecture_weights import ArchitectureWeights
from nasengine.supernet.splitting.gradient_matching import EdgeScore, GradientMatching, score_edge
from nasengine.supernet.splitting.partition import Partition
from nasengine.supernet.supernet import Supernet
from nasengine.supernet.training.differentiable import ArchitectureTraining, DifferentiableTraining


@dataclass(frozen=True, slots=True)
class SplitSchedule:
    """When a supernet is split and how long its parts are trained.

    Args:
        warmup_epochs: before the first split.
        num_splits: levels; each splits every part, so that ``ways ** num_splits`` leaves come out.
        ways: groups at each split.
        epochs_between: of every part after each split but the last.
        leaf_epochs: of every leaf after the last split, architecture weights included.
        restart: leaves begin with new weights rather than inherited ones, as the paper does after the last split.
        settings: of the score.
    """

    warmup_epochs: int
    num_splits: int
    leaf_epochs: int
    ways: int = 2
    epochs_between: int = 1
    restart: bool = True
    settings: GradientMatching = field(default_factory=GradientMatching)


@dataclass(frozen=True, slots=True)
class _Epoch:
    part: int
    number: int
    is_leaf: bool


@dataclass(frozen=True, slots=True)
class _Split:
    level: int


class FewShotTraining:
    """Training of a supernet and its parts as a task; its steps are epochs and levels of splits.

    Args:
        supernet: the whole, trained during the warm-up.
        dataset: weights learn from ``train``, architecture weights of leaves from ``validation``.
        recipe: training of the weights; its number of epochs is not used.
        schedule: when to split.
        architecture: training of the leaves' architecture weights.
        seed: of the run.

    Raises:
        ConfigError: more splits than edges that can be split, or ways for which no edge has enough candidates.
    """

    name = "supernet"

    def __init__(
        self,
        supernet: Supernet,
        dataset: ImageDataset,
        recipe: TrainingRecipe,
        schedule: SplitSchedule,
        *,
        architecture: ArchitectureTraining,
        seed: int,
    ) -> None:
        self.dataset, self.recipe, self.schedule = dataset, recipe, schedule
        self.architecture, self.seed = architecture, seed
        splittable = splittable_edges(supernet, schedule.ways)
        if len(splittable) < schedule.num_splits:
            raise ConfigError(
                f"--splits: expected at most {len(splittable)}, the edges with {schedule.ways} or more candidates, "
                f"got {schedule.num_splits}"
            )
        self.partitions: list[list[Partition]] = []
        self._plan = list(self._steps())
        self.parts = [self._training(supernet, is_leaf=False, index=0)]

    @property
    def num_steps(self) -> int:
        """Epochs and levels of splits."""
        return len(self._plan)

    def run_step(self, step: int) -> dict[str, Any]:
        """Train one part for an epoch, or split all parts."""
        entry = self._plan[step]
        if isinstance(entry, _Split):
            return {"splits": self._split(entry.level)}
        part = self.parts[entry.part]
        rate = cosine(part.recipe, entry.number)
        loss = part.epoch(lambda detach: part.alphas.mixture(detach=detach), rate, (self.name, step))
        return {"loss": loss, "part": entry.part, "learning_rate": rate}

    def _steps(self) -> Iterator[_Epoch | _Split]:
        schedule = self.schedule
        yield from (_Epoch(0, number, False) for number in range(schedule.warmup_epochs))
        for level in range(schedule.num_splits):
            yield _Split(level)
            is_leaf = level == schedule.num_splits - 1
            count = schedule.leaf_epochs if is_leaf else schedule.epochs_between
            before = schedule.warmup_epochs + level * schedule.epochs_between
            for part in range(schedule.ways ** (level + 1)):
                yield from (_Epoch(part, number if is_leaf else before + number, is_leaf) for number in range(count))

    def _training(self, supernet: Supernet, *, is_leaf: bool, index: int) -> DifferentiableTraining:
        """A part with new architecture weights; before the last split they stay equal."""
        schedule = self.schedule
        shared = schedule.warmup_epochs + schedule.epochs_between * max(0, schedule.num_splits - 1)
        recipe = replace(self.recipe, epochs=max(1, schedule.leaf_epochs if is_leaf else shared))
        seed = seed_of(self.seed, "alphas", is_leaf, index)
        alphas = ArchitectureWeights(supernet.space.topology, seed, supernet.allowed)
        architecture = self.architecture if is_leaf else replace(self.architecture, order=0)
        device = next(supernet.parameters()).device
        return DifferentiableTraining(
            supernet, alphas.to(device), self.dataset, recipe, architecture=architecture, seed=seed_of(self.seed, index)
        )

    # --- splitting --------------------------------------------------------------------------------------------------

    def _split(self, level: int) -> list[dict[str, Any]]:
        """Split every part where its candidates disagree most; returns what was measured."""
        is_last = level == self.schedule.num_splits - 1
        reports, chosen = [], []
        children: list[Supernet] = []
        for index, part in enumerate(self.parts):
            scores = [
                self._score(part, key, level, index) for key in splittable_edges(part.supernet, self.schedule.ways)
            ]
            best = min(scores, key=lambda score: score.value)
            partition = Partition(best.key, best.picks())
            chosen.append(partition)
            reports.append(_report(part.supernet, scores, best))
            children.extend(self._child(part, mask, is_last) for mask in _masks(part.supernet, partition))
        self.partitions.append(chosen)
        self.parts = [self._training(child, is_leaf=is_last, index=index) for index, child in enumerate(children)]
        return reports

    def _score(self, part: DifferentiableTraining, key: ChoiceKey, level: int, index: int) -> EdgeScore:
        mixture = part.alphas.mixture(active=_selectable(part.supernet), detach=True)
        feed = self._random_batches(seed_of(self.seed, "splitting", level, index))
        return score_edge(
            part.supernet, key, mixture, feed, num_groups=self.schedule.ways, settings=self.schedule.settings
        )

    def _random_batches(self, seed: int) -> Iterator[Batch]:
        """Training batches without end; all edges of a part see the same ones."""
        number = 0
        while True:
            generator = seeded_generator(seed, number)
            yield from batches(
                self.dataset.train, self.dataset, self.recipe.batch_size, generator, self.dataset.augmentation
            )
            number += 1

    def _child(self, part: DifferentiableTraining, mask: Selection, is_last: bool) -> Supernet:
        if not (is_last and self.schedule.restart):
            return part.supernet.restrict(mask)
        parent = part.supernet
        device = next(parent.parameters()).device
        return Supernet(parent.space, parent.config, seed_of(self.seed, "leaf", str(mask)), mask).to(device)

    # --- state ------------------------------------------------------------------------------------------------------

    def state(self) -> TaskState:
        """All parts, and how they came about."""
        tensors: dict[str, torch.Tensor] = {}
        for index, part in enumerate(self.parts):
            tensors |= {f"part{index}/{name}": value for name, value in part.state().tensors.items()}
        levels = [[[*split.key, split.groups] for split in level] for level in self.partitions]
        return TaskState(tensors, {"partitions": levels})

    def load_state(self, state: TaskState) -> None:
        """Go back to a state: the splits are replayed, then every part takes its weights."""
        root = self.parts[0].supernet
        supernets = [root]
        self.partitions = []
        for level in state.values["partitions"]:
            chosen = [Partition((kind, edge), tuple(map(tuple, groups))) for kind, edge, groups in level]
            self.partitions.append(chosen)
            pairs = zip(supernets, chosen, strict=True)
            supernets = [whole.restrict(mask) for whole, partition in pairs for mask in _masks(whole, partition)]
        is_leaf = len(self.partitions) == self.schedule.num_splits > 0
        self.parts = [self._training(part, is_leaf=is_leaf, index=index) for index, part in enumerate(supernets)]
        for index, part in enumerate(self.parts):
            prefix = f"part{index}/"
            own = {name.removeprefix(prefix): v for name, v in state.tensors.items() if name.startswith(prefix)}
            part.load_state(TaskState(own))


def _selectable(supernet: Supernet) -> dict[ChoiceKey, tuple[int, ...]]:
    """Candidates that a genotype may contain; ``none`` of the DARTS spaces belongs to no group."""
    topology = supernet.space.topology
    return {
        (kind, edge): tuple(pick for pick in picks if topology.candidates[kind][edge][pick] not in topology.search_only)
        for (kind, edge), picks in supernet.allowed.items()
    }


def splittable_edges(supernet: Supernet, ways: int) -> list[ChoiceKey]:
    """Edges, normal and reduction alike, with enough candidates left to be split."""
    return [key for key, picks in _selectable(supernet).items() if len(picks) >= ways]


def _masks(supernet: Supernet, partition: Partition) -> list[Selection]:
    """Restrictions of the parts; only the edge that is split loses what belongs to no group."""
    allowed = {**supernet.allowed, partition.key: _selectable(supernet)[partition.key]}
    return partition.masks(allowed)


def _report(supernet: Supernet, scores: list[EdgeScore], best: EdgeScore) -> dict[str, Any]:
    kind, edge = best.key
    names = supernet.space.topology.candidates[kind][edge]
    return {
        "edge": [kind, edge],
        "candidates": [names[pick] for pick in best.candidates],
        "distance": [[round(float(value), 5) for value in row] for row in best.distance],
        "groups": [[names[pick] for pick in group] for group in best.picks()],
        "values": {f"{score.key[0]} {score.key[1]}": round(score.value, 5) for score in scores},
        "num_batches": {f"{score.key[0]} {score.key[1]}": score.num_batches for score in scores},
    }
