"""Feeds images to a network: shuffling, normalisation and augmentation, all on the device of the images."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from nasengine.randomness import seeded_generator

if TYPE_CHECKING:
    from nasengine.data.dataset import ImageDataset, Split

Batch = tuple[Float[Tensor, "_ channels height width"], Int64[Tensor, "_"]]
"""Images and the index of each one's class; a function may take several batches of different lengths."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random changes of training images.

    Args:
        crop_padding: pixels of black border before a random crop back to the size.
        flip: mirror half of the images.
        cutout: side in pixels of a square that is blanked (DeVries and Taylor, 2017, arXiv 1708.04552).
    """

    crop_padding: int = 0
    flip: bool = False
    cutout: int = 0


def normalize(images: Tensor, dataset: "ImageDataset") -> Float[Tensor, "batch channels height width"]:
    """Bytes to values with mean 0 and standard deviation 1 in each channel of the training images."""
    mean = torch.tensor(dataset.mean, device=images.device)[:, None, None]
    std = torch.tensor(dataset.std, device=images.device)[:, None, None]
    return (images.float() / 255 - mean) / std


def batches(
    split: "Split",
    dataset: "ImageDataset",
    batch_size: int,
    generator: torch.Generator,
    augmentation: Augmentation | None = None,
) -> Iterator[Batch]:
    """One pass over a split in random order.

    Batches are as equal as they can be and at most ``batch_size``, so that none is so small that batch norm fails.

    Args:
        split: the images.
        dataset: where their normalisation comes from.
        batch_size: images in a batch, at most.
        generator: on the CPU; gives order and augmentation.
        augmentation: none by default.
    """
    order = torch.randperm(len(split), generator=generator).to(split.labels.device)
    for indices in order.tensor_split(-(-len(split) // batch_size)):
        images = normalize(split.images[indices], dataset)
        yield augment(images, augmentation or Augmentation(), generator), split.labels[indices]


def evaluation_batches(split: "Split", dataset: "ImageDataset", batch_size: int = 256) -> Iterator[Batch]:
    """One pass over a split in its own order, without augmentation; batches are as equal as they can be."""
    count = -(-len(split) // batch_size)
    for images, labels in zip(split.images.tensor_split(count), split.labels.tensor_split(count), strict=True):
        yield normalize(images, dataset), labels


def augment(images: Tensor, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Crop, flip and cutout, drawn for each image."""
    if settings.crop_padding:
        images = _random_crop(images, settings.crop_padding, generator)
    if settings.flip:
        flipped = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(flipped.to(images.device)[:, None, None, None], images.flip(3), images)
    if settings.cutout:
        images = _cutout(images, settings.cutout, generator)
    return images


def _random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    # Padding comes after normalisation, as zeros; the difference to black is a constant grey border.
    padded = F.pad(images, (padding,) * 4)
    shift = torch.randint(2 * padding + 1, (2, count), generator=generator).to(images.device)
    rows = shift[0][:, None] + torch.arange(height, device=images.device)
    columns = shift[1][:, None] + torch.arange(width, device=images.device)
    picked = torch.arange(count, device=images.device)
    return padded[picked[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cutout(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    device = images.device
    row = torch.randint(height, (count,), generator=generator).to(device)[:, None]
    column = torch.randint(width, (count,), generator=generator).to(device)[:, None]
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    inside_rows = (rows >= row - side // 2) & (rows < row + (side + 1) // 2)
    inside_columns = (columns >= column - side // 2) & (columns < column + (side + 1) // 2)
    blank = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
    return images.masked_fill(blank, 0.0)


def random_batches(dataset: "ImageDataset", batch_size: int, seed: int) -> Iterator[Batch]:
    """Batches of the training half, augmented, pass after pass without end.

    Args:
        dataset: where they come from.
        batch_size: images in a batch, at most.
        seed: of order and augmentation.
    """
    for number in itertools.count():
        generator = seeded_generator(seed, number)
        yield from batches(dataset.train, dataset, batch_size, generator, dataset.augmentation)
