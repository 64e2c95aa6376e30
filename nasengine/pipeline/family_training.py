"""Training of what a family is made of."""

from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor, nn

from nasengine.data import ImageDataset, batches
from nasengine.evaluation import NetworkTraining
from nasengine.evaluation.distillation import distillation
from nasengine.initialization.auxiliary_network import AuxiliaryNetwork
from nasengine.network import GraphNetwork
from nasengine.pipeline.family_settings import FamilySettings
from nasengine.protocols import TrainingRecipe
from nasengine.randomness import seeded_generator
from nasengine.supernet.training import recalibrate

RECALIBRATION_BATCHES = 16


def auxiliary_training(
    network: AuxiliaryNetwork,
    teacher: nn.Module,
    dataset: ImageDataset,
    recipe: TrainingRecipe,
    settings: FamilySettings,
) -> NetworkTraining:
    """Training of an auxiliary network by distillation; each batch goes through one of its depths, drawn evenly."""
    count = len(network.networks)

    def forward(images: Tensor, drop_path: float, generator: torch.Generator) -> Tensor | tuple[Tensor, ...]:
        index = int(torch.randint(count, (), generator=generator)) if count > 1 else 0
        return network(images, drop_path, generator, index=index)

    objective = distillation(teacher, settings.distillation_weight, settings.temperature)
    recipe = replace(recipe, epochs=settings.epochs, auxiliary_weight=0.0, compiled=False)
    return NetworkTraining(
        "auxiliary", network, dataset, recipe, seed=settings.seed, forward=forward, objective=objective
    )


def tuning_recipe(recipe: TrainingRecipe, settings: FamilySettings) -> TrainingRecipe:
    """How a descendant is tuned: as its ancestor was trained, but briefly and at a smaller learning rate."""
    return replace(
        recipe, epochs=settings.tuning_epochs, auxiliary_weight=0.0, drop_path=0.0, warmup_epochs=0,
        learning_rate=recipe.learning_rate * settings.tuning_rate,
        final_learning_rate=recipe.final_learning_rate * settings.tuning_rate,
    )  # fmt: skip


def scratch_recipe(recipe: TrainingRecipe, settings: FamilySettings) -> TrainingRecipe:
    """The ancestor's training in as many epochs as descendants are tuned for."""
    return replace(recipe, epochs=settings.tuning_epochs, auxiliary_weight=0.0, drop_path=0.0, warmup_epochs=0)


def recalibrate_on(network: GraphNetwork, dataset: ImageDataset, seed: int, batch_size: int = 128) -> None:
    """Measure statistics of batch norms on training images."""
    generator = seeded_generator(seed, "recalibration")
    feed = batches(dataset.all_training, dataset, batch_size, generator)
    recalibrate(network, network, (images for images, _ in islice(feed, RECALIBRATION_BATCHES)))
