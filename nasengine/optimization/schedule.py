"""Learning rates."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from nasengine.protocols import TrainingRecipe


def cosine(recipe: TrainingRecipe, epoch: int) -> float:
    """Learning rate of an epoch (counted from 0): half a cosine from the first to the final rate.

    Loshchilov and Hutter, 2017, arXiv 1608.03983, equation 5, without restarts.
    """
    low, high = recipe.final_learning_rate, recipe.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2


def make_sgd(parameters: Iterable[nn.Parameter], recipe: TrainingRecipe) -> torch.optim.SGD:
    """The optimizer of a recipe."""
    return torch.optim.SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate
