"""Differentiable architecture search: supernet weights and architecture weights trained in turns.

DARTS: Liu, Simonyan and Yang, 2019, arXiv 1806.09055, algorithm 1. With ``order=0`` the architecture weights stay as
they are ("fixed alpha" of Wang et al., 2021, arXiv 2108.04392, section 5.3), which halves the cost of a step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nasengine.data import ImageDataset, batches
from nasengine.data.batches import Batch
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
from nasengine.randomness import seeded_generator
from nasengine.supernet.architecture_weights import ArchitectureWeights
from nasengine.supernet.choice import Mixture
from nasengine.supernet.relaxation import BinaryGates, Dirichlet, GumbelSoftmax, Relaxation, Softmax
from nasengine.supernet.supernet import Supernet
from nasengine.supernet.training.unrolled import unrolled_gradients

MixtureOf = Callable[[bool], Mixture]
"""Gives the mixture of the moment; the argument says whether it is left out of the gradient."""


@dataclass(frozen=True, slots=True)
class ArchitectureTraining:
    """How architecture weights are trained.

    Args:
        order: 0 leaves them alone, 1 takes the gradient at the current weights, 2 through one step of them.
        relaxation: how they become mixtures.
        learning_rate, betas, weight_decay: of Adam (DARTS, section 3.1).

    Raises:
        ConfigError: the second order with mixtures that are drawn anew at each use.
    """

    order: int = 1
    relaxation: Relaxation = field(default_factory=Softmax)
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 1e-3

    def __post_init__(self) -> None:
        if self.order == 2 and not isinstance(self.relaxation, Softmax):
            name = type(self.relaxation).__name__
            raise ConfigError(f"architecture training of order 2: expected the softmax relaxation, got {name}")


ARCHITECTURE_TRAININGS = {
    "fixed": ArchitectureTraining(order=0),
    "darts": ArchitectureTraining(order=1),
    "darts-second-order": ArchitectureTraining(order=2),
    "snas": ArchitectureTraining(relaxation=GumbelSoftmax()),
    "beta-darts": ArchitectureTraining(relaxation=Softmax(beta=50.0), weight_decay=0.0),
    "drnas": ArchitectureTraining(relaxation=Dirichlet()),
    "proxyless": ArchitectureTraining(
        relaxation=BinaryGates(), learning_rate=1e-3, betas=(0.0, 0.999), weight_decay=0.0
    ),
}
"""Ways to train architecture weights, by the names of the command line."""


class DifferentiableTraining:
    """Trains a supernet; one step of this task is one epoch over the training half.

    Args:
        supernet: trained in place.
        alphas: architecture weights, trained in place.
        dataset: weights learn from ``train``, architecture weights from ``validation``.
        recipe: training of the weights.
        architecture: training of the architecture weights.
        seed: of the run.
    """

    name = "supernet"

    def __init__(
        self,
        supernet: Supernet,
        alphas: ArchitectureWeights,
        dataset: ImageDataset,
        recipe: TrainingRecipe,
        *,
        architecture: ArchitectureTraining,
        seed: int,
    ) -> None:
        self.supernet, self.alphas, self.dataset, self.recipe = supernet, alphas, dataset, recipe
        self.architecture, self.seed = architecture, seed
        self.restart_weights_optimizer()
        self.alpha_optimizer = torch.optim.Adam(
            alphas.parameters(),
            lr=architecture.learning_rate,
            betas=architecture.betas,
            weight_decay=architecture.weight_decay,
        )

    @property
    def num_steps(self) -> int:
        """Epochs."""
        return self.recipe.epochs

    def restart_weights_optimizer(self) -> None:
        """Forget the momenta of the supernet's weights."""
        self.weights_optimizer = make_sgd(self.supernet.parameters(), self.recipe)

    def run_step(self, step: int) -> dict[str, Any]:
        """One epoch; returns its mean loss and, where they learn, the architecture weights after it."""
        rate, key = cosine(self.recipe, step), (self.name, step)
        progress = step / max(1, self.recipe.epochs - 1)
        generator = seeded_generator(self.seed, *key, "mixtures")

        def mixture(detach: bool) -> Mixture:
            return self.alphas.sampled_mixture(progress, generator, detach=detach)

        metrics: dict[str, Any] = {"loss": self.epoch(mixture, rate, key, progress), "learning_rate": rate}
        if self.architecture.order:
            rows = {kind: rows.detach().cpu().tolist() for kind, rows in self.alphas.mean().items()}
            metrics["weights"] = {kind: [[round(x, 6) for x in row] for row in edges] for kind, edges in rows.items()}
        return metrics

    def epoch(self, mixture: MixtureOf, rate: float, key: tuple[Any, ...], progress: float = 1.0) -> float:
        """One pass over the training half at one learning rate, under any mixture.

        Args:
            mixture: what the supernet computes.
            rate: learning rate of the weights.
            key: what the randomness of this epoch depends on, beside the seed.
            progress: share of the training that is done.

        Returns:
            Mean training loss.
        """
        set_learning_rate(self.weights_optimizer, rate)
        self.supernet.train()
        losses = []
        with averaged_statistics(self.supernet):
            for number, (batch, held_out) in enumerate(self._pairs(key)):
                where, clip = f"{key[0]} training, step {number} of epoch {key[-1]}", self.recipe.gradient_clip
                if held_out is not None:
                    self._architecture_step(mixture, batch, held_out, progress, where)
                own, share = share_of(batch)
                loss = self._loss(own, mixture(True))
                losses.append(guarded_step(loss, self.weights_optimizer, clip=clip, where=where, share=share))
        return sum(losses) / len(losses)

    def _pairs(self, key: tuple[Any, ...]) -> Iterator[tuple[Batch, Batch | None]]:
        generator = seeded_generator(self.seed, *key)
        size, change = self.recipe.batch_size, self.dataset.augmentation
        training = batches(self.dataset.train, self.dataset, size, generator, change)
        if self.architecture.order == 0:
            yield from zip(training, repeat(None), strict=False)
            return
        other = seeded_generator(self.seed, *key, "validation")
        passes = (batches(self.dataset.validation, self.dataset, size, other, change) for _ in repeat(None))
        yield from zip(training, chain.from_iterable(passes), strict=False)

    def _architecture_step(
        self, mixture: MixtureOf, batch: Batch, held_out: Batch, progress: float, where: str
    ) -> None:
        own, share = share_of(held_out)
        if self.architecture.order == 2:
            loss, gradients = unrolled_gradients(
                self.supernet, self.alphas, mixture, batch, held_out, self.weights_optimizer
            )
            surrogate = _with_gradients(list(self.alphas.parameters()), gradients, loss)
        else:
            # Only the architecture weights need gradients here: a third of the backward pass is saved.
            with frozen(self.supernet):
                surrogate = self._loss(own, mixture(False))
        surrogate = surrogate + self.alphas.penalty(progress)
        guarded_step(surrogate, self.alpha_optimizer, where=f"{where} (architecture)", share=share)

    def _loss(self, batch: Batch, mixture: Mixture) -> Tensor:
        images, labels = batch
        with layers_in(self.recipe.precision, images.device):
            logits = self.supernet(images, mixture)
        return F.cross_entropy(logits.float(), labels)

    def state(self) -> TaskState:
        """Weights, architecture weights and both optimizers."""
        tensors = {f"supernet.{name}": value for name, value in self.supernet.state_dict().items()}
        tensors |= {f"alphas.{name}": value for name, value in self.alphas.state_dict().items()}
        tensors |= pack_optimizer(self.weights_optimizer, "weights_optimizer")
        tensors |= pack_optimizer(self.alpha_optimizer, "alpha_optimizer")
        return TaskState(tensors)

    def load_state(self, state: TaskState) -> None:
        """Go back to a state."""
        self.supernet.load_state_dict(_part(state.tensors, "supernet."))
        self.alphas.load_state_dict(_part(state.tensors, "alphas."))
        load_optimizer(self.weights_optimizer, state.tensors, "weights_optimizer")
        load_optimizer(self.alpha_optimizer, state.tensors, "alpha_optimizer")


class frozen:  # noqa: N801 (reads as a statement: with frozen(module))
    """Within this context the parameters of a module need no gradient."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]

    def __enter__(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(True)


def _with_gradients(parameters: list[torch.nn.Parameter], gradients: list[Tensor], loss: Tensor) -> Tensor:
    """A scalar with the value ``loss`` and the given gradients."""
    products = [(parameter * gradient).sum() for parameter, gradient in zip(parameters, gradients, strict=True)]
    linear = torch.stack(products).sum()
    return linear - linear.detach() + loss.detach()


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
