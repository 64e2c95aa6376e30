"""A dataset of images in memory, split once and for all."""

import hashlib
import math
from dataclasses import dataclass, replace

import numpy
import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor

from nasengine.data.batches import Augmentation
from nasengine.errors import DataError

MIN_IMAGES_A_CLASS = 3
Statistics = tuple[float, ...]


@dataclass(frozen=True)
class Split:
    """Images as bytes, and the index of each one's class."""

    images: UInt8[Tensor, "num_images channels height width"]
    labels: Int64[Tensor, "num_images"]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> "Split":
        """Some of the images."""
        indices = indices.to(self.labels.device)
        return Split(self.images[indices], self.labels[indices])

    def to(self, device: torch.device) -> "Split":
        """The same images on a device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class ImageDataset:
    """Three splits of labelled images.

    Args:
        name: where they came from.
        train: trains weights while searching (half of the training images, as in DARTS).
        validation: trains architecture weights and decides selections (the other half).
        test: is not touched before the final figures.
        class_names: by class index.
        mean, std: of each channel of the training images, on the scale from 0 to 1.
        augmentation: changes to training images that keep their class.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def all_training(self) -> Split:
        """Both halves of the training images, for the final training."""
        return Split(
            torch.cat([self.train.images, self.validation.images]),
            torch.cat([self.train.labels, self.validation.labels]),
        )

    def to(self, device: torch.device) -> "ImageDataset":
        """The same dataset with all images on a device."""
        return replace(
            self, train=self.train.to(device), validation=self.validation.to(device), test=self.test.to(device)
        )

    def fingerprint(self) -> str:
        """sha256 of images, labels, names and normalisation: a resumed run can tell that its data did not change."""
        digest = hashlib.sha256(repr((self.class_names, self.mean, self.std, self.augmentation)).encode())
        for split in (self.train, self.validation, self.test):
            digest.update(split.images.cpu().numpy().tobytes())
            digest.update(split.labels.cpu().numpy().tobytes())
        return digest.hexdigest()

    def reduced(self, max_train: int | None, max_test: int | None, max_size: int | None, seed: int) -> "ImageDataset":
        """Fewer images (the same share of every class) and smaller ones (averaged), where the limits ask for it."""
        half = None if max_train is None else max_train // 2
        return replace(
            self,
            train=_resize(_shrink(self.train, half, seed), max_size),
            validation=_resize(_shrink(self.validation, half, seed), max_size),
            test=_resize(_shrink(self.test, max_test, seed), max_size),
        )


def make_dataset(
    name: str,
    training: Split,
    test: Split | None,
    class_names: tuple[str, ...],
    *,
    augmentation: Augmentation,
    test_share: float = 0.2,
    seed: int = 0,
) -> ImageDataset:
    """Check the images, hold out a test split where none is given, and halve the training images by class.

    Raises:
        DataError: no images, a single class, or classes too small to be split.
    """
    if len(training) == 0:
        raise DataError(f"data {name}: expected images, got none")
    counts = torch.bincount(training.labels, minlength=len(class_names))
    if len(class_names) < 2:
        raise DataError(f"data {name}: expected at least 2 classes, got {len(class_names)}: {', '.join(class_names)}")
    if int(counts.min()) < MIN_IMAGES_A_CLASS:
        smallest = int(counts.argmin())
        raise DataError(
            f"data {name}, class {class_names[smallest]}: expected at least {MIN_IMAGES_A_CLASS} training images, "
            f"got {int(counts[smallest])}; add images or leave the class out"
        )
    if test is None:
        held_out, kept = split_by_class(training.labels, test_share, seed)
        training, test = training.take(kept), training.take(held_out)
    if len(test) == 0:
        raise DataError(f"data {name}: expected test images, got an empty test split; fill it or leave it out")
    if training.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"data {name}: expected test images of {tuple(training.images.shape[1:])} (channels, height, width) "
            f"as in training, got {tuple(test.images.shape[1:])}"
        )
    first, second = split_by_class(training.labels, 0.5, seed)
    mean, std = channel_statistics(training.images)
    return ImageDataset(name, training.take(first), training.take(second), test, class_names, mean, std, augmentation)


def channel_statistics(images: UInt8[Tensor, "num_images channels height width"]) -> tuple[Statistics, Statistics]:
    """Mean and standard deviation of each channel on the scale from 0 to 1, at least 0.001.

    They come from counts of byte values, so that they do not depend on the order of additions (number of threads).
    """
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = torch.bincount(images[:, channel].reshape(-1), minlength=256).tolist()
        total = sum(counts)
        mean = sum(value * count for value, count in enumerate(counts)) / total
        variance = sum(count * (value - mean) ** 2 for value, count in enumerate(counts)) / total
        means.append(mean / 255)
        stds.append(max(1e-3, math.sqrt(variance) / 255))
    return tuple(means), tuple(stds)


def split_by_class(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of two parts, the first with ``share`` of every class, at least one image in each."""
    rng = numpy.random.default_rng(seed)
    first, second = [], []
    for label in labels.unique().tolist():
        members = torch.from_numpy(rng.permutation(torch.nonzero(labels == label).flatten().numpy()))
        cut = min(max(1, round(share * len(members))), max(1, len(members) - 1))
        first.append(members[:cut])
        second.append(members[cut:])
    return torch.cat(first).sort().values, torch.cat(second).sort().values


def _shrink(split: Split, limit: int | None, seed: int) -> Split:
    if limit is None or len(split) <= limit:
        return split
    kept, _ = split_by_class(split.labels, limit / len(split), seed)
    return split.take(kept)


def _resize(split: Split, size: int | None) -> Split:
    height, width = split.images.shape[2:]
    if size is None or max(height, width) <= size:
        return split
    ratio = size / max(height, width)
    target = (max(1, round(height * ratio)), max(1, round(width * ratio)))
    chunks = [F.interpolate(chunk.float(), target, mode="area") for chunk in split.images.split(4096)]
    return Split(torch.cat(chunks).round().to(torch.uint8), split.labels)
