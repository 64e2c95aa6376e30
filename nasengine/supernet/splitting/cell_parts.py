"""Supernets of spaces that state a supergraph, as splitting sees them."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from nasengine.data import ImageDataset
from nasengine.data.batches import random_batches
from nasengine.graph.supergraph import ChoiceKey, Selection
from nasengine.protocols import TrainingRecipe
from nasengine.supernet.architecture_weights import ArchitectureWeights
from nasengine.supernet.choice import Mixture
from nasengine.supernet.splitting.edges import selectable
from nasengine.supernet.splitting.few_shot import SplitTraining
from nasengine.supernet.splitting.gradient_matching import score_edges
from nasengine.supernet.splitting.schedule import SplitSchedule
from nasengine.supernet.splitting.scores import EdgeScore
from nasengine.supernet.supernet import Supernet
from nasengine.supernet.training.differentiable import ArchitectureTraining, DifferentiableTraining
from nasengine.supernet.training.single_path import SinglePathTraining


def split_cells(
    supernet: Supernet, dataset: ImageDataset, recipe: TrainingRecipe, schedule: SplitSchedule, *, seed: int
) -> SplitTraining[Supernet]:
    """The splitting of a supernet of a space that states a supergraph.

    Args:
        supernet: the whole, trained during the warm-up.
        dataset: weights learn from ``train``.
        recipe: training of the weights; its number of epochs is not used.
        schedule: when and how to split.
        seed: of the run.

    Raises:
        ConfigError: the space cannot be split like this.
    """
    kind = CellParts(supernet.space.name, dataset, recipe, single_path=schedule.single_path)
    return SplitTraining(kind, supernet, schedule, seed=seed)


@dataclass(frozen=True)
class CellParts:
    """Implements SplitKind; architecture weights stay equal while splitting.

    Args:
        space_name: of the space.
        dataset: weights learn from ``train``.
        recipe: training of the weights; its number of epochs is not used.
        single_path: train and score on one sampled path a batch rather than on the mixture of all.
    """

    space_name: str
    dataset: ImageDataset
    recipe: TrainingRecipe
    single_path: bool

    def choices(self, part: Supernet) -> Selection:
        """Candidates of each edge, normal and reduction alike, that an architecture may contain."""
        return selectable(part)

    def allowed(self, part: Supernet) -> Selection:
        """All candidates of a part."""
        return part.allowed

    def candidates(self, part: Supernet, key: ChoiceKey) -> tuple[str, ...]:
        """Names of all candidates of an edge."""
        kind, edge = key
        return tuple(part.space.topology.candidates[kind][edge])

    def place(self, part: Supernet, key: ChoiceKey) -> str | None:
        """Edges are known by their ends, which the topology has."""
        return None

    def training(self, part: Supernet, epochs: int, seed: int) -> DifferentiableTraining | SinglePathTraining:
        """Training with equal architecture weights, or of one path a batch."""
        recipe = replace(self.recipe, epochs=epochs)
        if self.single_path:
            return SinglePathTraining(part, self.dataset, recipe, seed=seed)
        architecture = ArchitectureTraining(order=0)
        return DifferentiableTraining(
            part, _equal_weights(part), self.dataset, recipe, architecture=architecture, seed=seed
        )

    def scores(
        self, part: Supernet, choices: Selection, schedule: SplitSchedule, *, batch_seed: int, context_seed: int
    ) -> list[EdgeScore]:
        """Gradient matching of some edges."""
        size = schedule.settings.batch_size or self.recipe.batch_size
        return score_edges(
            part,
            choices,
            self._mixtures(part, context_seed),
            random_batches(self.dataset, size, batch_seed),
            num_groups=schedule.ways,
            settings=schedule.settings,
        )

    def child(self, part: Supernet, allowed: Selection, restart_seed: int | None) -> Supernet:
        """A part of a part."""
        if restart_seed is None:
            return part.restrict(allowed)
        return Supernet(part.space, part.config, restart_seed, allowed).to(next(part.parameters()).device)

    def _mixtures(self, part: Supernet, seed: int) -> Iterator[Mixture]:
        """What the edges that are not scored compute: the mixture of equal weights, or one path for each batch."""
        if not self.single_path:
            yield from itertools.repeat(_equal_weights(part).mixture(detach=True))
        device = next(part.parameters()).device
        paths = part.space.restrict(part.allowed)
        rng = random.Random(seed)
        candidates = part.space.topology.candidates
        ones = {kind: torch.ones(len(edges), max(map(len, edges)), device=device) for kind, edges in candidates.items()}
        while True:
            yield Mixture(ones, part.space.selection(paths.sample(rng)))


def _equal_weights(supernet: Supernet) -> ArchitectureWeights:
    """Equal weights for all candidates: what parts are trained and scored with while splitting."""
    weights = ArchitectureWeights(supernet.space.topology, allowed=supernet.allowed)
    for alpha in weights.parameters():
        alpha.data.zero_()
    return weights.to(next(supernet.parameters()).device)
