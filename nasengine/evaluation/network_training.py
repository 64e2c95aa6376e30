"""Trains a network on all training images; the last epoch counts, no test image is seen."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasengine.data import ImageDataset, Split, batches
from nasengine.errors import StoreError
from nasengine.optimization import (
    averaged_statistics,
    cosine,
    guarded_step,
    layers_in,
    load_optimizer,
    make_optimizer,
    pack_optimizer,
    set_learning_rate,
    share_of,
    sum_over_processes,
)
from nasengine.protocols import TaskState, TrainingRecipe
from nasengine.randomness import seeded_generator

Outputs = Tensor | tuple[Tensor, ...]
Forward = Callable[[Tensor, float, torch.Generator], Outputs]
"""Runs images through a network, given a chance of dropping paths and a source of chance."""
Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Loss of logits: images, logits, labels."""


class NetworkTraining:
    """Training as a task; a step is one epoch.

    Args:
        name: of the task.
        network: trained in place; a second output is an auxiliary classifier.
        dataset: where images and normalisation come from.
        recipe: the training.
        seed: of the run.
        split: the images to learn from; both halves of the training images by default.
        forward: how outputs are computed; the network itself by default.
        objective: what is minimised; the cross-entropy by default.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        dataset: ImageDataset,
        recipe: TrainingRecipe,
        *,
        seed: int,
        split: Split | None = None,
        forward: Forward | None = None,
        objective: Objective | None = None,
    ) -> None:
        self.name, self.network, self.dataset, self.recipe, self.seed = name, network, dataset, recipe, seed
        self._run = forward or (torch.compile(network) if recipe.compiled else network)
        self._objective = objective or _cross_entropy
        self.optimizer = make_optimizer(network.parameters(), recipe)
        side = max(dataset.image_shape[1:])
        # Cutout is an augmentation like the others: where the data allow none, it is off as well.
        allowed = dataset.augmentation.flip or dataset.augmentation.crop_padding > 0
        self._augmentation = replace(dataset.augmentation, cutout=round(recipe.cutout * side) if allowed else 0)
        self._split = dataset.all_training if split is None else split

    @property
    def num_steps(self) -> int:
        """Epochs."""
        return self.recipe.epochs

    def run_step(self, step: int) -> dict[str, Any]:
        """One epoch; returns its mean loss and the accuracy on its (augmented) batches."""
        rate = cosine(self.recipe, step)
        set_learning_rate(self.optimizer, rate)
        self.network.train()
        generator = seeded_generator(self.seed, self.name, step)
        drop_generator = seeded_generator(self.seed, self.name, step, "drop path")
        drop_path = self.recipe.drop_path * step / self.recipe.epochs
        total, correct = 0.0, 0
        feed = batches(self._split, self.dataset, self.recipe.batch_size, generator, self._augmentation)
        with averaged_statistics(self.network):
            for number, batch in enumerate(feed):
                (images, labels), share = share_of(batch)
                with layers_in(self.recipe.precision, images.device):
                    outputs = self._run(images, drop_path, drop_generator)
                logits, loss = self._loss(images, outputs, labels)
                where, clip = f"{self.name} training, step {number} of epoch {step}", self.recipe.gradient_clip
                total += guarded_step(loss, self.optimizer, clip=clip, where=where, share=share) * len(batch[1])
                correct += int((logits.argmax(1) == labels).sum())
        count = len(self._split)
        accuracy = sum_over_processes(correct) / count
        return {"loss": total / count, "train_accuracy": accuracy, "learning_rate": rate}

    def _loss(self, images: Tensor, outputs: Outputs, labels: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(outputs, Tensor):
            logits = outputs.float()
            return logits, self._objective(images, logits, labels)
        logits, auxiliary = (output.float() for output in outputs)
        second = self.recipe.auxiliary_weight * F.cross_entropy(auxiliary, labels)
        return logits, self._objective(images, logits, labels) + second

    def state(self) -> TaskState:
        """Weights and momenta; weights that several layers share are there once."""
        tensors = {f"network.{name}": value for name, value in self._tensors().items()}
        return TaskState(tensors | pack_optimizer(self.optimizer, "optimizer"))

    def load_state(self, state: TaskState) -> None:
        """Go back to a state.

        Raises:
            StoreError: it belongs to another network.
        """
        prefix = "network."
        stored = {name.removeprefix(prefix): value for name, value in state.tensors.items() if name.startswith(prefix)}
        own = self._tensors()
        if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in stored.items()}:
            raise StoreError(f"{self.name} training: expected the state of this network, got that of another")
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(stored[name])
        load_optimizer(self.optimizer, state.tensors, "optimizer")

    def _tensors(self) -> dict[str, Tensor]:
        return {**dict(self.network.named_parameters()), **dict(self.network.named_buffers())}


def _cross_entropy(images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)
