"""float16: half the bytes, for runtimes that compute in it; inputs and outputs stay float32."""

from dataclasses import dataclass
from pathlib import Path

import numpy
import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel
from torch import Tensor

from export.activation_ranges import value_statistics
from export.drafts import draft_folder
from export.sessions import open_session, run_images
from nasengine.errors import ExportError

CHUNK, MAX_OBSERVED = 256, 64
LARGEST = float(numpy.finfo(numpy.float16).max)


@dataclass(frozen=True, slots=True)
class Float16Report:
    """A float16 file against the float32 file that it came from.

    Args:
        path: the file.
        num_bytes, float_bytes: of both files.
        max_deviation: largest absolute difference of a logit.
        top1_agreement: share of the images for which both name the same class.
        num_images: images that were compared.
    """

    path: Path
    num_bytes: int
    float_bytes: int
    max_deviation: float
    top1_agreement: float
    num_images: int


def to_float16(source: Path, path: Path, *, images: Tensor) -> Float16Report:
    """Write weights and operators of a file in float16, and compare both on real images.

    onnxruntime computes float16 on most CPUs by way of float32: such a file is smaller there, not faster, and values
    between layers may not be rounded, so that the deviation is that of rounded weights.

    Args:
        source: float32 file of one input and one output.
        path: file to write; one that is there already stays until the new one is whole.
        images: normalised, of the shape that the file takes.

    Raises:
        ExportError: images do not fit, a weight or a value of up to 64 images is beyond what float16 holds, or a file
            cannot be read or written.
    """
    expected = _logits(source, images)
    with draft_folder(path, "float16") as folder:
        converted = _converted(source)
        _check_values(source, images, folder)
        draft = folder / path.name
        onnx.save_model(converted, draft)
        got = _logits(draft, images)
        num_bytes, float_bytes = draft.stat().st_size, source.stat().st_size
        draft.replace(path)
    return Float16Report(
        path, num_bytes, float_bytes, float(numpy.abs(got - expected).max()),
        float((got.argmax(1) == expected.argmax(1)).mean()), len(images),
    )  # fmt: skip


def _converted(source: Path) -> onnx.ModelProto:
    model = onnx.load(source)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            _check_fits(source, tensor)
    # Every weight is converted, else those of operators that the converter is wary of would stay.
    converted = convert_float_to_float16(model, keep_io_types=True, force_fp16_initializers=True)
    OnnxModel(converted).topological_sort()
    del converted.graph.value_info[:]
    onnx.helper.set_model_props(converted, {**metadata, "precision": "float16"})
    onnx.checker.check_model(converted, full_check=True)
    return converted


def _check_fits(source: Path, tensor: onnx.TensorProto) -> None:
    largest = float(numpy.abs(onnx.numpy_helper.to_array(tensor)).max(initial=0.0))
    if not largest <= LARGEST:
        raise ExportError(
            f"onnx file {source}, weight {tensor.name}: expected values up to {LARGEST:.0f} as float16 holds, "
            f"got {largest:.3g}; use float32"
        )


def _check_values(source: Path, images: Tensor, folder: Path) -> None:
    """On the CPU onnxruntime may keep in float32 what other runtimes hold in float16, so values are looked at here."""
    for name, entry in value_statistics(source, images[:MAX_OBSERVED], folder).items():
        largest = max(-entry.low, entry.high)
        if not largest <= LARGEST:
            raise ExportError(
                f"onnx file {source}, value {name}: expected values up to {LARGEST:.0f} as float16 holds, "
                f"got {largest:.3g}; use float32"
            )


def _logits(path: Path, images: Tensor) -> numpy.ndarray:
    session = open_session(path)
    (entry, *_) = session.get_inputs()
    wanted, got = tuple(entry.shape[1:]), tuple(images.shape[1:])
    if len(images) == 0 or wanted != got:
        raise ExportError(
            f"images: expected some of shape {wanted} as the input of {path.name}, got {len(images)} of {got}"
        )
    return numpy.concatenate([run_images(session, chunk) for chunk in images.split(CHUNK)])
