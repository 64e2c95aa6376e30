"""Trains an elastic supernet: in every step its largest network, its smallest and some between them.

The sandwich rule and in-place distillation: Yu and Huang, 2019, arXiv 1903.05134; phases: see ``phases.py``.
"""

import random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nasengine.architecture import Architecture
from nasengine.data import ImageDataset, batches
from nasengine.errors import ConfigError
from nasengine.optimization import (
    averaged_statistics,
    cosine,
    divergence,
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
from nasengine.supernet.elastic.phases import Phase, choices_at, sandwich
from nasengine.supernet.elastic.sorting import sort_channels
from nasengine.supernet.elastic.supernet import ElasticSupernet


class ElasticTraining:
    """Training as a task; a step is one epoch over the training half.

    The loss is the mean over the subnets of a step, so that learning rates mean the same whatever their number; the
    papers add them up. Before a phase in which widths become elastic channels are sorted and momenta begin anew.

    Args:
        supernet: trained in place.
        dataset: weights learn from ``train``.
        recipe: training of the weights; one cosine of learning rates over all phases.
        seed: of the run.
        phases: what is elastic when; those of ``sandwich`` by default. They have the recipe's epochs together.
        num_random: subnets of a step beside the largest and the smallest.
        distillation: weight of the divergence from what the largest network answers to the same images in the same
            step, for all other subnets; the rest is the cross-entropy with the labels.
        first_epoch: that the first step is, for a part of a supernet that was trained before it was split off.

    Raises:
        ConfigError: phases of another length, or numbers that make no sense.
    """

    name = "supernet"

    def __init__(
        self,
        supernet: ElasticSupernet,
        dataset: ImageDataset,
        recipe: TrainingRecipe,
        *,
        seed: int,
        phases: tuple[Phase, ...] | None = None,
        num_random: int = 2,
        distillation: float = 1.0,
        first_epoch: int = 0,
    ) -> None:
        self.supernet, self.dataset, self.recipe, self.seed = supernet, dataset, recipe, seed
        self.phases = phases or sandwich(recipe.epochs, supernet.space.elastic_choices)
        self.num_random, self.distillation, self.first_epoch = num_random, distillation, first_epoch
        total = sum(phase.epochs for phase in self.phases)
        if total != recipe.epochs:
            raise ConfigError(f"elastic training: expected phases of {recipe.epochs} epochs together, got {total}")
        if num_random < 0 or not 0 <= distillation <= 1:
            raise ConfigError(
                "elastic training: expected no fewer than 0 random subnets and a weight of distillation from 0 to 1, "
                f"got {num_random} and {distillation}"
            )
        self.optimizer = make_sgd(supernet.parameters(), recipe)

    @property
    def num_steps(self) -> int:
        """Epochs."""
        return self.recipe.epochs - self.first_epoch

    def run_step(self, step: int) -> dict[str, Any]:
        """One epoch; returns its mean loss, and that of the largest network alone."""
        return self._run_epoch(self.first_epoch + step)

    def _run_epoch(self, epoch: int) -> dict[str, Any]:
        choices, new = choices_at(self.phases, epoch)
        if sum(sort_channels(self.supernet, choice) for choice in new):
            self.optimizer.state.clear()  # momenta were those of channels in the old order
        rate = cosine(self.recipe, epoch)
        set_learning_rate(self.optimizer, rate)
        self.supernet.train()
        rng = random.Random(seed_of(self.seed, "subnets", epoch))
        generator = seeded_generator(self.seed, self.name, epoch)
        losses, of_largest = [], []
        feed = batches(self.dataset.train, self.dataset, self.recipe.batch_size, generator, self.dataset.augmentation)
        with averaged_statistics(self.supernet):
            for number, batch in enumerate(feed):
                (images, labels), share = share_of(batch)
                found = self._losses(images, labels, self._subnets(choices, rng))
                of_largest.append(found[0].detach())
                loss = sum(found[1:], found[0]) / len(found)
                where, clip = f"supernet training, step {number} of epoch {epoch}", self.recipe.gradient_clip
                losses.append(guarded_step(loss, self.optimizer, clip=clip, where=where, share=share))
        means = {"loss": sum(losses) / len(losses), "largest_loss": float(torch.stack(of_largest).mean())}
        return {**means, "learning_rate": rate, "elastic": list(choices)}

    def _subnets(self, choices: tuple[str, ...], rng: random.Random) -> list[Architecture]:
        """The largest, the smallest and random ones, each once."""
        space = self.supernet.space
        if not choices:
            return [space.largest()]
        drawn = [space.sample_within(choices, rng) for _ in range(self.num_random)]
        return list(dict.fromkeys([space.largest(), space.shrunk(choices), *drawn]))

    def _losses(self, images: Tensor, labels: Tensor, subnets: list[Architecture]) -> list[Tensor]:
        """Of each subnet; the first teaches the others."""
        with layers_in(self.recipe.precision, images.device):
            logits = [self.supernet(images, subnet).float() for subnet in subnets]
        losses, weight = [F.cross_entropy(logits[0], labels)], self.distillation
        for found in logits[1:]:
            own = F.cross_entropy(found, labels) if weight < 1 else found.new_zeros(())
            losses.append((1 - weight) * own + weight * divergence(found, logits[0]))
        return losses

    def state(self) -> TaskState:
        """Weights and optimizer."""
        tensors = {f"supernet.{name}": value for name, value in self.supernet.state_dict().items()}
        return TaskState(tensors | pack_optimizer(self.optimizer, "optimizer"))

    def load_state(self, state: TaskState) -> None:
        """Go back to a state."""
        own = {name: value for name, value in state.tensors.items() if name.startswith("supernet.")}
        self.supernet.load_state_dict({name.removeprefix("supernet."): value for name, value in own.items()})
        load_optimizer(self.optimizer, state.tensors, "optimizer")
