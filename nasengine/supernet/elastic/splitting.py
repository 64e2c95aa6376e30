"""Elastic supernets split by layers: where the candidates of a layer disagree about the weights of all others.

Hu et al., 2022, arXiv 2203.15207, split once-for-all by layers. Score, division and criterion are those of all other
supernets (``splitting.scores``); only where gradients come from is stated here. Leaves always inherit weights, and
learning rate and phases go on as if the supernet had not been split.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy
import torch
import torch.nn.functional as F

from nasengine.architecture import Architecture
from nasengine.data import ImageDataset
from nasengine.data.batches import Batch, random_batches
from nasengine.errors import ConfigError
from nasengine.graph.supergraph import ChoiceKey, Selection
from nasengine.protocols import TrainingRecipe
from nasengine.splittable_space import SplittableElasticSpace
from nasengine.supernet.elastic.phases import Phase
from nasengine.supernet.elastic.supernet import ElasticSupernet
from nasengine.supernet.elastic.training import ElasticTraining
from nasengine.supernet.splitting import EdgeScore, GradientMatching, SplitSchedule, score_choices
from nasengine.supernet.splitting.repetitions import GramMatrix
from nasengine.supernet.training import kept_statistics

MakePhases = Callable[[int, tuple[str, ...]], tuple[Phase, ...]]


@dataclass(frozen=True)
class ElasticParts:
    """Implements SplitKind.

    Args:
        space_name: of the space.
        dataset: weights learn from ``train``.
        recipe: training of the weights; its number of epochs is not used.
        schedule: when and how to split.
        make_phases: what is elastic when, during the warm-up; all choices are after it.

    Raises:
        ConfigError: a schedule whose leaves begin with new weights.
    """

    space_name: str
    dataset: ImageDataset
    recipe: TrainingRecipe
    schedule: SplitSchedule
    make_phases: MakePhases

    def __post_init__(self) -> None:
        if self.schedule.restart:
            raise ConfigError("elastic splits: expected leaves that inherit weights, got a schedule that restarts them")

    def choices(self, part: ElasticSupernet) -> Selection:
        """Candidates of each layer."""
        return part.allowed

    def allowed(self, part: ElasticSupernet) -> Selection:
        """The same: whatever a part has may be in an architecture."""
        return part.allowed

    def candidates(self, part: ElasticSupernet, key: ChoiceKey) -> tuple[str, ...]:
        """Names of all candidates of a layer."""
        return part.splittable_space.layers[key].candidates

    def place(self, part: ElasticSupernet, key: ChoiceKey) -> str:
        """Where the nodes of a layer are in the graph."""
        return part.splittable_space.layers[key].prefix

    def training(self, part: ElasticSupernet, epochs: int, seed: int) -> ElasticTraining:
        """Training up to the last split; it is the beginning of one that ends with the leaves."""
        return self._training(part, seed, first_epoch=0)

    def leaf_training(self, leaf: ElasticSupernet, seed: int) -> ElasticTraining:
        """What is left of the training after the last split."""
        return self._training(leaf, seed, first_epoch=self._epochs_before_leaves)

    def scores(
        self,
        part: ElasticSupernet,
        choices: Selection,
        schedule: SplitSchedule,
        *,
        batch_seed: int,
        context_seed: int,
    ) -> list[EdgeScore]:
        """Gradient matching of some layers, each batch in another random subnet."""
        size = schedule.settings.batch_size or self.recipe.batch_size
        feed = random_batches(self.dataset, size, batch_seed)
        contexts = _subnets(part.splittable_space, context_seed)
        return score_layers(part, choices, contexts, feed, num_groups=schedule.ways, settings=schedule.settings)

    def child(self, part: ElasticSupernet, allowed: Selection, restart_seed: int | None) -> ElasticSupernet:
        """A part of a part."""
        return part.restrict(allowed)

    @property
    def _epochs_before_leaves(self) -> int:
        return self.schedule.warmup_epochs + self.schedule.epochs_between * (self.schedule.num_splits - 1)

    def _training(self, part: ElasticSupernet, seed: int, first_epoch: int) -> ElasticTraining:
        total = self._epochs_before_leaves + self.schedule.leaf_epochs
        choices = part.space.elastic_choices
        after = Phase(total - self.schedule.warmup_epochs, choices)
        phases = (*self.make_phases(self.schedule.warmup_epochs, choices), after)
        recipe = replace(self.recipe, epochs=total)
        return ElasticTraining(part, self.dataset, recipe, seed=seed, phases=phases, first_epoch=first_epoch)


def _subnets(space: SplittableElasticSpace, seed: int) -> Iterator[Architecture]:
    rng = random.Random(seed)
    while True:
        yield space.sample_within(space.elastic_choices, rng)


def score_layers(
    supernet: ElasticSupernet,
    layers: Selection,
    subnets: Iterator[Architecture],
    batches: Iterator[Batch],
    *,
    num_groups: int = 2,
    settings: GradientMatching | None = None,
) -> list[EdgeScore]:
    """Score layers of an elastic supernet; see ``score_choices``.

    Args:
        supernet: stays as it is, running statistics included.
        layers: to score, and the candidates that are to be divided in each.
        subnets: what all other layers are, one for each batch.
        batches: random training batches.
        num_groups: ways of the split.
        settings: of the score; a candidate is all that its layer has, so that ``hard`` has no meaning.

    Raises:
        ConfigError: a layer has fewer candidates than groups, or there are no batches.
        TrainingError: a gradient is not finite.
    """
    found = settings or GradientMatching()

    def gram_of(key: ChoiceKey, candidates: Sequence[int], subnet: Architecture, batch: Batch) -> numpy.ndarray:
        return layer_gram(supernet, key, candidates, subnet, batch, left_out=found.left_out)

    return score_choices(layers, gram_of, subnets, batches, num_groups=num_groups, settings=found)


def layer_gram(
    supernet: ElasticSupernet,
    key: ChoiceKey,
    candidates: Sequence[int],
    subnet: Architecture,
    batch: Batch,
    *,
    left_out: tuple[str, ...] = (),
) -> numpy.ndarray:
    """Dot products of the gradients that the candidates of a layer give the weights of all other layers.

    Args:
        supernet: stays as it is.
        key: the layer.
        candidates: of the layer.
        subnet: what the other layers are.
        batch: images and labels.
        left_out: nodes whose names start like this do not count.

    Returns:
        Float64, (num_candidates, num_candidates).
    """
    images, labels = batch
    space = supernet.splittable_space
    shared = shared_parameters(supernet, key, left_out)
    gradients = []
    with torch.enable_grad(), kept_statistics(supernet):
        for pick in candidates:
            logits = supernet(images, space.placed(subnet, key, pick))
            found = torch.autograd.grad(F.cross_entropy(logits, labels), shared, allow_unused=True)
            gradients.append(found)
    gram = GramMatrix(len(candidates))
    for weight, rows in zip(shared, zip(*gradients, strict=True), strict=True):
        if any(row is not None for row in rows):
            gram.add(torch.stack([torch.zeros_like(weight) if row is None else row for row in rows]))
    return gram.numpy()


def shared_parameters(supernet: ElasticSupernet, key: ChoiceKey, left_out: tuple[str, ...]) -> list[torch.nn.Parameter]:
    """Weights and kernel matrices outside a layer and outside what is left out."""
    own = f"{supernet.splittable_space.layers[key].prefix}/"
    return [
        weight
        for name, weight in supernet.named_parameters()
        if not name.partition(".")[2].startswith((own, *left_out))
    ]
