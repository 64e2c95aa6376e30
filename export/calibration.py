"""Images that quantisation looks at: training images for ranges, and some to choose between methods."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nasengine.data import ImageDataset, Split
from nasengine.data.batches import normalize
from nasengine.errors import ConfigError
from nasengine.randomness import seeded_generator

MIN_IMAGES, MAX_IMAGES = 100, 500
DEFAULT_IMAGES = 256


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Normalised images, (num_images, channels, height, width), and the index of each one's class."""

    images: Tensor
    labels: Tensor


def calibration_images(dataset: ImageDataset, *, count: int = DEFAULT_IMAGES, seed: int = 0) -> Tensor:
    """Training images, normalised and not augmented, as many of each class as of the others.

    Classes with few images give all they have, and the others fill the places. No test image is among them.

    Args:
        dataset: both halves of its training images are drawn from.
        count: images, from 100 to 500; all training images where there are fewer.
        seed: of the draw.

    Raises:
        ConfigError: another count.

    >>> from nasengine.data.digits import load
    >>> calibration_images(load(), count=100).shape
    torch.Size([100, 1, 8, 8])
    """
    if not MIN_IMAGES <= count <= MAX_IMAGES:
        raise ConfigError(f"calibration images: expected from {MIN_IMAGES} to {MAX_IMAGES}, got {count}")
    training = dataset.all_training
    return normalize(training.images[_evenly(training.labels.cpu(), count, seed)].cpu(), dataset)


def validation_images(dataset: ImageDataset, limit: int = 2048) -> LabelledImages:
    """The validation half of the training images, or the first ``limit`` of it."""
    return _labelled(dataset.validation, dataset, limit)


def held_out_images(dataset: ImageDataset, limit: int = 10_000) -> LabelledImages:
    """The test images, for final figures only, or the first ``limit`` of them."""
    return _labelled(dataset.test, dataset, limit)


def _labelled(split: Split, dataset: ImageDataset, limit: int) -> LabelledImages:
    return LabelledImages(normalize(split.images[:limit].cpu(), dataset), split.labels[:limit].cpu())


def _evenly(labels: Tensor, count: int, seed: int) -> Tensor:
    """Indices: the first of every class in random order, then the second of every class, and so on."""
    order = torch.randperm(len(labels), generator=seeded_generator(seed, "calibration"))
    shuffled = labels[order]
    rank = torch.empty_like(shuffled)
    for label in shuffled.unique():
        members = shuffled == label
        rank[members] = torch.arange(int(members.sum()))
    return order[torch.argsort(rank, stable=True)[:count]].sort().values
