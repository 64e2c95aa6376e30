"""Learning from another network's answers."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasengine.errors import ConfigError
from nasengine.evaluation.network_training import Objective
from nasengine.optimization import divergence


def distillation(teacher: nn.Module, weight: float = 0.9, temperature: float = 1.0) -> Objective:
    """An objective: part cross-entropy with the labels, part divergence from a teacher.

    Hinton et al., 2015, arXiv 1503.02531: ``(1 - weight) * CE + weight * T^2 * KL(teacher || student)`` with both
    softened by the temperature ``T``, mean over images. SWS (Xia et al., 2024, arXiv 2404.16897) passes weight 1 and
    temperature 1; its code divides the divergence by the number of classes as well, which AdamW does not see.

    Args:
        teacher: sees the same augmented images in eval mode; it is left as it is.
        weight: of the divergence, 0 to 1.
        temperature: above 0.

    Raises:
        ConfigError: another weight or temperature.
    """
    if not 0 <= weight <= 1 or not temperature > 0:
        raise ConfigError(
            f"distillation: expected a weight from 0 to 1 and a temperature above 0, got {weight} and {temperature}"
        )
    teacher.eval()

    def objective(images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        loss = F.cross_entropy(logits, labels) if weight < 1 else logits.new_zeros(())
        if weight == 0:
            return loss
        with torch.no_grad():
            wanted = teacher(images)
        return (1 - weight) * loss + weight * divergence(logits, wanted, temperature)

    return objective
