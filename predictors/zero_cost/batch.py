"""The images that proxies look at."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nasengine.errors import DataError


@dataclass(frozen=True)
class ProxyBatch:
    """Images as networks get them, and the index of each one's class.

    Args:
        images: normalised, of shape (batch, channels, height, width), at least two.
        labels: whole numbers from 0, one for each image.

    Raises:
        DataError: shapes that do not fit, or images that are not finite.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or len(images) < 2 or not images.is_floating_point():
            raise DataError(
                "proxy batch: expected at least 2 images of floats, shape (batch, channels, height, width), "
                f"got {images.dtype} of shape {tuple(images.shape)}; normalise images before they are measured"
            )
        if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
            raise DataError(
                f"proxy batch: expected {len(images)} labels of type torch.int64, one for each image, "
                f"got {labels.dtype} of shape {tuple(labels.shape)}"
            )
        if not bool(images.isfinite().all()):
            raise DataError("proxy batch: expected finite images, got values that are not; look for broken images")


def random_batch(image_shape: tuple[int, int, int], num_classes: int, size: int = 64, seed: int = 0) -> ProxyBatch:
    """Standard normal images and random labels, where there are no data.

    Args:
        image_shape: (channels, height, width).
        num_classes: labels are drawn from 0 to this, exclusive.
        size: number of images.
        seed: where both come from.

    >>> random_batch((3, 8, 8), num_classes=10, size=4).images.shape
    torch.Size([4, 3, 8, 8])
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(size, *image_shape, generator=generator)
    return ProxyBatch(images, torch.randint(num_classes, (size,), generator=generator))
