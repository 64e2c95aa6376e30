"""Runs an exported file in its runtime and compares it with the network that it came from."""

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
    """Compare on real images, in large batches and in batches of 1, 2 and 7.

    Args:
        path: the file.
        network: in eval mode, on the CPU.
        images: normalised, shape (num_images, channels, height, width).

    Returns:
        Largest absolute deviation of a logit, and the share of images for which both name the same class.

    Raises:
        ExportError: a batch size does not work, or the deviation is larger than 1e-4 (in proportion larger where logits
            are larger than 10, since float32 has seven digits).
    """
    session = open_session(path)
    expected, got = [], []
    with torch.no_grad():
        for chunk in images.split(CHUNK):
            expected.append(network(chunk).numpy())
            got.append(run_images(session, chunk))
    reference, result = numpy.concatenate(expected), numpy.concatenate(got)
    deviation = float(numpy.abs(reference - result).max())
    for size in BATCH_SIZES:
        part = run_images(session, images[:size])
        deviation = max(deviation, float(numpy.abs(part - reference[: len(part)]).max()))
    limit = MAX_DEVIATION * max(1.0, float(numpy.abs(reference).max()) / LARGE_LOGIT)
    if not deviation <= limit:
        raise ExportError(
            f"onnx file {path.name}: expected logits within {limit:.1e} of the network's, "
            f"got a deviation of {deviation}"
        )
    return deviation, float((reference.argmax(1) == result.argmax(1)).mean())
