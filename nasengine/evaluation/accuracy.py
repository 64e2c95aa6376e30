"""Share of images that a network names correctly."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nasengine.data import ImageDataset, Split, evaluation_batches


@torch.no_grad()
def accuracy(
    module: nn.Module, split: Split, dataset: ImageDataset, forward: Callable[[Tensor], Tensor] | None = None
) -> float:
    """Top-1 accuracy in eval mode, a fraction between 0 and 1.

    Args:
        module: network or supernet; its mode is put back afterwards.
        split: the images.
        dataset: where their normalisation comes from.
        forward: how scores are computed; the module itself by default.
    """
    run = forward or module
    was_training = module.training
    module.eval()
    try:
        correct = sum(
            int((run(images).argmax(1) == labels).sum()) for images, labels in evaluation_batches(split, dataset)
        )
    finally:
        module.train(was_training)
    return correct / len(split)
