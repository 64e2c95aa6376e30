"""int8: weights and activations of an ONNX file in eight bits, the scales of activations from training images.

Weights are symmetric with a scale for each output channel, activations have one range and zero point a tensor (Jacob
et al., 2017, arXiv 1712.05877; Wu et al., 2020, arXiv 2004.09602). The file says so in nodes that quantise and
dequantise (QDQ), which runtimes merge into integer operators. Biases stay float32: the runtime makes them int32 with
the scale that follows from the other two (onnxruntime since 1.21), and the file is smaller. Normalisations stay float32
as well, since there are no integer operators for them.
"""

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy
import onnx
import torch
from onnxruntime import quantization
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
from torch import Tensor

from export.activation_ranges import METHODS, Method, ranges_by, value_statistics
from export.calibration import LabelledImages
from export.channel_scales import even_out_channels
from export.compaction import compact
from export.drafts import draft_folder
from export.sessions import open_session, run_images
from nasengine.errors import ExportError

ActivationType = Literal["uint8", "int8"]
CHUNK = 256
NOT_QUANTIZED = ("BatchNormalization", "LayerNormalization", "InstanceNormalization")
METADATA_KEY = "quantization"
_TYPES = {"uint8": quantization.QuantType.QUInt8, "int8": quantization.QuantType.QInt8}


@dataclass(frozen=True, slots=True)
class QuantizationSettings:
    """How a file is quantised.

    Args:
        methods: of finding ranges of activations; the best is kept.
        activation_type: ``uint8`` is what onnxruntime is fast at on x86, ``int8`` what microcontrollers take; the
            values are the same.
        reduce_range: weights have seven bits, for x86 processors without VNNI, whose sums of two products overflow.
        percentile: of the values of a tensor that lie inside its range, with that method.
        explicit: say of every value how it is quantised, of biases as well, for runtimes that cannot tell from others.
    """

    methods: tuple[Method, ...] = METHODS
    activation_type: ActivationType = "uint8"
    reduce_range: bool = False
    percentile: float = 99.99
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """What one method gave on the validation images.

    Args:
        method: of finding ranges.
        accuracy: validation accuracy, a fraction.
        deviation: mean absolute difference between the logits of int8 and float32.
    """

    method: Method
    accuracy: float
    deviation: float


@dataclass(frozen=True, slots=True)
class QuantizationReport:
    """A quantised file and what it costs.

    Args:
        path: the file.
        num_bytes, float_bytes: of the file, and of the one it came from.
        trials: one for each method, the one that was kept first.
        float_accuracy: validation accuracy of the file that it came from.
        settings: that were used.
        num_calibration_images: images that ranges come from.
        seconds: that all this took.
    """

    path: Path
    num_bytes: int
    float_bytes: int
    trials: tuple[Trial, ...]
    float_accuracy: float
    settings: QuantizationSettings
    num_calibration_images: int
    seconds: float

    @property
    def method(self) -> Method:
        """The one that was kept."""
        return self.trials[0].method

    @property
    def accuracy(self) -> float:
        """Validation accuracy of the file."""
        return self.trials[0].accuracy

    @property
    def drop(self) -> float:
        """Validation accuracy that was lost, as a fraction; negative where it rose."""
        return self.float_accuracy - self.accuracy


def host_settings() -> QuantizationSettings:
    """What suits this machine's processor: unsigned activations on x86, and seven bits where it has no VNNI."""
    if platform.machine().lower() not in ("x86_64", "amd64", "i686"):
        return QuantizationSettings(activation_type="int8")
    information = Path("/proc/cpuinfo")
    flags = information.read_text() if information.is_file() else "vnni"  # unknown: most have it
    return QuantizationSettings(reduce_range="vnni" not in flags)


def quantize_int8(
    source: Path,
    path: Path,
    *,
    calibration: Tensor,
    validation: LabelledImages,
    settings: QuantizationSettings | None = None,
) -> QuantizationReport:
    """Write an int8 file with the calibration method that is best on validation images.

    Of equally accurate methods the one whose logits are nearest to those of float32 is kept.

    Args:
        source: float32 file of one input and one output.
        path: file to write; a file that is there already stays until the new one is whole.
        calibration: normalised training images, see ``calibration_images``.
        validation: images that decide between methods, see ``validation_images``; not test images.
        settings: the default suits x86 processors with VNNI.

    Raises:
        ExportError: images do not fit the file, or a file cannot be read, quantised or written.
    """
    settings = settings or QuantizationSettings()
    began = time.perf_counter()
    _check(source, calibration, validation, settings)
    expected = _logits(source, validation.images)
    with draft_folder(path, "int8") as folder:
        drafts = _drafts(source, folder, calibration, settings)
        trials = [_trial(method, draft, validation, expected) for method, draft in drafts.items()]
        trials.sort(key=lambda trial: (-trial.accuracy, trial.deviation))
        best = drafts[trials[0].method]
        num_bytes, float_bytes = best.stat().st_size, source.stat().st_size
        best.replace(path)
    return QuantizationReport(
        path, num_bytes, float_bytes, tuple(trials), _accuracy(expected, validation.labels), settings,
        len(calibration), time.perf_counter() - began,
    )  # fmt: skip


def _check(source: Path, calibration: Tensor, validation: LabelledImages, settings: QuantizationSettings) -> None:
    if not settings.methods:
        raise ExportError(f"int8 quantisation: expected at least one method of {', '.join(METHODS)}, got none")
    inputs = open_session(source).get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        got = ", ".join(entry.type for entry in inputs) or "none"
        raise ExportError(f"onnx file {source}: expected one input of float32, got {got}")
    _check_images("calibration", calibration, inputs[0].shape, source)
    _check_images("validation", validation.images, inputs[0].shape, source)
    if len(validation.images) != len(validation.labels):
        counts = f"{len(validation.images)} images and {len(validation.labels)} labels"
        raise ExportError(f"validation images: expected a label each, got {counts}")


def _check_images(what: str, images: Tensor, shape: Sequence[int | str], source: Path) -> None:
    """``shape`` is the file's; sizes that it leaves open are words there."""
    wanted, got = list(shape[1:]), list(images.shape[1:])
    fits = len(wanted) == len(got) and all(
        not isinstance(size, int) or size == found for size, found in zip(wanted, got, strict=True)
    )
    if not fits:
        raise ExportError(f"{what} images: expected shape {wanted} as the input of {source.name}, got {got}")
    if len(images) == 0 or images.dtype != torch.float32 or not bool(images.isfinite().all()):
        raise ExportError(
            f"{what} images: expected finite normalised float32 values, got {len(images)} images of {images.dtype}; "
            "see export.calibration"
        )


def _drafts(source: Path, folder: Path, calibration: Tensor, settings: QuantizationSettings) -> dict[Method, Path]:
    """One quantised file for each method."""
    prepared = folder / "prepared.onnx"
    # Shapes follow from the operators; the runtime's symbolic inference would only be a second opinion.
    quantization.quant_pre_process(source, prepared, skip_symbolic_shape=True)
    model = onnx.load(prepared)
    even_out_channels(model.graph)
    onnx.save_model(model, prepared)
    statistics = value_statistics(prepared, calibration, folder)
    metadata = {entry.key: entry.value for entry in onnx.load(source, load_external_data=False).metadata_props}
    drafts = {}
    for method in settings.methods:
        model = _quantized(prepared, ranges_by(method, statistics, settings.percentile), settings)
        compact(model, explicit=settings.explicit)
        said = {METADATA_KEY: _description(method, settings)}
        onnx.helper.set_model_props(model, {**metadata, **said})
        onnx.checker.check_model(model, full_check=True)
        drafts[method] = folder / f"{method}.onnx"
        onnx.save_model(model, drafts[method])
    return drafts


def _quantized(
    prepared: Path, ranges: Mapping[str, tuple[float, float]], settings: QuantizationSettings
) -> onnx.ModelProto:
    kinds = {*QDQRegistry, *QLinearOpsRegistry} - set(NOT_QUANTIZED)
    pairs = {name: tuple(numpy.float32(end) for end in ends) for name, ends in ranges.items()}
    quantizer = quantization.QDQQuantizer(
        onnx.load(prepared),
        per_channel=True,
        reduce_range=settings.reduce_range,
        weight_qType=quantization.QuantType.QInt8,
        activation_qType=_TYPES[settings.activation_type],
        tensors_range=quantization.TensorsData(quantization.CalibrationMethod.MinMax, pairs),
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=sorted(kinds),
        extra_options={"QuantizeBias": settings.explicit},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    return quantizer.model.model


def _description(method: Method, settings: QuantizationSettings) -> str:
    weights = "7 bits of int8" if settings.reduce_range else "int8"
    return json.dumps({"weights": weights, "activations": settings.activation_type, "ranges": method})


def _trial(method: Method, draft: Path, validation: LabelledImages, expected: numpy.ndarray) -> Trial:
    got = _logits(draft, validation.images)
    return Trial(method, _accuracy(got, validation.labels), float(numpy.abs(got - expected).mean()))


def _logits(path: Path, images: Tensor) -> numpy.ndarray:
    session = open_session(path)
    return numpy.concatenate([run_images(session, chunk) for chunk in images.split(CHUNK)])


def _accuracy(logits: numpy.ndarray, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels.numpy()).mean())
