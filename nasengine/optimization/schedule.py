"""Learning rates."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from nasengine.protocols import TrainingRecipe


def cosine(recipe: TrainingRecipe, epoch: int) -> float:
    """Learning rate of an epoch (counted from 0): half a cosine from the first to the final rate.

    Loshchilov and Hutter, 2017, arXiv 1608.03983, equation 5, without restarts; behind a linear rise over
    ``recipe.warmup_epochs``.
    """
    low, high, rise = recipe.final_learning_rate, recipe.learning_rate, recipe.warmup_epochs
    if epoch < rise:
        return high * (epoch + 1) / (rise + 1)
    return low + (high - low) * (1 + math.cos(math.pi * (epoch - rise) / (recipe.epochs - rise))) / 2


def make_optimizer(parameters: Iterable[nn.Parameter], recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """The optimizer that a recipe names."""
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    return make_sgd(parameters, recipe)


def make_sgd(parameters: Iterable[nn.Parameter], recipe: TrainingRecipe) -> torch.optim.SGD:
    """SGD with the momentum and weight decay of a recipe."""
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
