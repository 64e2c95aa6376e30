"""Single-path training: every step trains one architecture, drawn uniformly among those that the supernet holds.

Li and Talwalkar, 2019, arXiv 1902.07638 (RSPS); Guo et al., 2020, arXiv 1904.00420 (single path one-shot). The first
epochs may see images of half the side, at a quarter of the cost (Tan and Le, 2021, arXiv 2104.00298, section 4).
"""

import random
from dataclasses import replace
from typing import Any

import torch.nn.functional as F

from nasengine.data import ImageDataset, batches
from nasengine.errors import ConfigError
from nasengine.optimization import (
    averaged_statistics,
    cosine,
    guarded_step,
    layers_in,
    load_optimizer,
    make_sgd,
    pack_optimizer,
    set_learning_rate,
    share_of,
)
from nasengine.protocols import TaskState, TrainingRecipe
from nasengine.randomness import seed_of, seeded_generator
from nasengine.supernet.supernet import Supernet


class SinglePathTraining:
    """Trains a supernet path by path; one step of this task is one epoch over the training half.

    Args:
        supernet: trained in place.
        dataset: weights learn from ``train``.
        recipe: training of the weights.
        seed: of the run.

    Raises:
        ConfigError: epochs on smaller images of a supernet that makes zeros, whose size is fixed.
    """

    name = "supernet"

    def __init__(self, supernet: Supernet, dataset: ImageDataset, recipe: TrainingRecipe, *, seed: int) -> None:
        self.supernet, self.dataset, self.recipe, self.seed = supernet, dataset, recipe, seed
        self.paths = supernet.space.restrict(supernet.allowed)
        self.optimizer = make_sgd(supernet.parameters(), recipe)
        if recipe.half_size_epochs and any(operation.kind == "zero" for operation in supernet.graph.operations):
            raise ConfigError(
                f"half_size_epochs: expected a space without zeros, whose size is fixed, got {supernet.space.name} "
                f"with {recipe.half_size_epochs} epochs; train on images of one size"
            )
        self._half_size = _half_size(dataset) if recipe.half_size_epochs else dataset

    @property
    def num_steps(self) -> int:
        """Epochs."""
        return self.recipe.epochs

    def run_step(self, step: int) -> dict[str, Any]:
        """One epoch; returns its mean loss."""
        rate = cosine(self.recipe, step)
        set_learning_rate(self.optimizer, rate)
        self.supernet.train()
        rng = random.Random(seed_of(self.seed, "paths", step))
        generator = seeded_generator(self.seed, self.name, step)
        losses = []
        dataset = self._half_size if step < self.recipe.half_size_epochs else self.dataset
        feed = batches(dataset.train, dataset, self.recipe.batch_size, generator, dataset.augmentation)
        with averaged_statistics(self.supernet):
            for number, batch in enumerate(feed):
                (images, labels), share = share_of(batch)
                with layers_in(self.recipe.precision, images.device):
                    logits = self.supernet(images, self.paths.sample(rng))
                loss = F.cross_entropy(logits.float(), labels)
                where, clip = f"supernet training, step {number} of epoch {step}", self.recipe.gradient_clip
                losses.append(guarded_step(loss, self.optimizer, clip=clip, where=where, share=share))
        return {"loss": sum(losses) / len(losses), "learning_rate": rate}

    def state(self) -> TaskState:
        """Weights and optimizer."""
        tensors = {f"supernet.{name}": value for name, value in self.supernet.state_dict().items()}
        return TaskState(tensors | pack_optimizer(self.optimizer, "optimizer"))

    def load_state(self, state: TaskState) -> None:
        """Go back to a state."""
        own = {name: value for name, value in state.tensors.items() if name.startswith("supernet.")}
        self.supernet.load_state_dict({name.removeprefix("supernet."): value for name, value in own.items()})
        load_optimizer(self.optimizer, state.tensors, "optimizer")


def _half_size(dataset: ImageDataset) -> ImageDataset:
    """Images of half the side (averaged), cropped at random by half as many pixels."""
    smaller = dataset.reduced(None, None, max(dataset.image_shape[1:]) // 2, seed=0)
    padding = dataset.augmentation.crop_padding // 2
    return replace(smaller, augmentation=replace(dataset.augmentation, crop_padding=padding))
