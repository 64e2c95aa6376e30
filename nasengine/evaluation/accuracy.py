"""How well a network names images."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasengine.data import ImageDataset, Split, evaluation_batches

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Measurement:
    """Top-1 accuracy, a fraction between 0 and 1, and mean cross-entropy in nats."""

    accuracy: float
    loss: float


def accuracy(module: nn.Module, split: Split, dataset: ImageDataset, forward: Forward | None = None) -> float:
    """Top-1 accuracy in eval mode; arguments are those of ``measure``."""
    return measure(module, split, dataset, forward).accuracy


@torch.no_grad()
def measure(module: nn.Module, split: Split, dataset: ImageDataset, forward: Forward | None = None) -> Measurement:
    """Accuracy and loss in eval mode.

    Args:
        module: network or supernet; its mode is put back afterwards.
        split: the images.
        dataset: where their normalisation comes from.
        forward: how scores are computed; the module itself by default.
    """
    run = forward or module
    was_training = module.training
    module.eval()
    correct, loss = 0, 0.0
    try:
        for images, labels in evaluation_batches(split, dataset):
            scores = run(images)
            correct += int((scores.argmax(1) == labels).sum())
            loss += float(F.cross_entropy(scores, labels, reduction="sum"))
    finally:
        module.train(was_training)
    return Measurement(correct / len(split), loss / len(split))
