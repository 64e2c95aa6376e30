"""Runs an exported file in its runtime and compares it with the network that it came from."""

from pathlib import Path

import numpy
import onnxruntime
import torch
from torch import Tensor, nn

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
    session = _session(path)
    expected, got = [], []
    with torch.no_grad():
        for chunk in images.split(CHUNK):
            expected.append(network(chunk).numpy())
            got.append(_run(session, chunk, path))
    reference, result = numpy.concatenate(expected), numpy.concatenate(got)
    deviation = float(numpy.abs(reference - result).max())
    for size in BATCH_SIZES:
        part = _run(session, images[:size], path)
        deviation = max(deviation, float(numpy.abs(part - reference[: len(part)]).max()))
    limit = MAX_DEVIATION * max(1.0, float(numpy.abs(reference).max()) / LARGE_LOGIT)
    if not deviation <= limit:
        raise ExportError(
            f"onnx file {path.name}: expected logits within {limit:.1e} of the network's, "
            f"got a deviation of {deviation}"
        )
    return deviation, float((reference.argmax(1) == result.argmax(1)).mean())


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run(session: onnxruntime.InferenceSession, images: Tensor, path: Path) -> numpy.ndarray:
    (result,) = session.run(None, {session.get_inputs()[0].name: images.contiguous().numpy()})
    if len(result) != len(images):
        raise ExportError(f"onnx file {path.name}: expected {len(images)} rows of logits, got {len(result)}")
    return result
