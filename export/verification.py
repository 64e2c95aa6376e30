"""Runs an exported file in its runtime and compares it with the network that it came from."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy
import torch
from torch import Tensor, nn

from export.sessions import open_session, run_images
from nasengine.errors import ExportError

MAX_DEVIATION = 1e-4
LARGE_LOGIT = 10.0
BATCH_SIZES = (1, 2, 7)
CHUNK = 256


def verify_onnx(path: Path, network: nn.Module, images: Tensor) -> tuple[float, float]:
    """``verify`` for an ONNX file in onnxruntime.

    Raises:
        ExportError: the runtime cannot load the file, or see there.
    """
    return verify(partial(run_images, open_session(path)), network, images, where=f"onnx file {path.name}")


def verify(
    run: Callable[[Tensor], numpy.ndarray],
    network: nn.Module,
    images: Tensor,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    *,
    where: str = "exported file",
) -> tuple[float, float]:
    """Compare a file in its runtime with its network on real images: in large batches, and in small ones.

    Args:
        run: logits of images, in the runtime.
        network: in eval mode, on the CPU.
        images: normalised, shape (num_images, channels, height, width).
        batch_sizes: of the small batches.
        where: what errors call the file.

    Returns:
        Largest absolute deviation of a logit, and the share of images for which both name the same class.

    Raises:
        ExportError: a batch size does not work, or the deviation is larger than 1e-4 (in proportion larger where logits
            are larger than 10, since float32 has seven digits).
    """
    expected, got = [], []
    with torch.no_grad():
        for chunk in images.split(CHUNK):
            expected.append(network(chunk).numpy())
            got.append(run(chunk))
    reference, result = numpy.concatenate(expected), numpy.concatenate(got)
    deviation = _deviation(reference, result, where)
    for size in batch_sizes:
        deviation = max(deviation, _deviation(reference[:size], run(images[:size]), where))
    limit = MAX_DEVIATION * max(1.0, float(numpy.abs(reference).max()) / LARGE_LOGIT)
    if not deviation <= limit:
        raise ExportError(
            f"{where}: expected logits within {limit:.1e} of the network's, got a deviation of {deviation}"
        )
    return deviation, float((reference.argmax(1) == result.argmax(1)).mean())


def _deviation(expected: numpy.ndarray, got: numpy.ndarray, where: str) -> float:
    if expected.shape != got.shape:
        raise ExportError(f"{where}: expected logits of shape {expected.shape}, got {got.shape}")
    return float(numpy.abs(expected - got).max())
