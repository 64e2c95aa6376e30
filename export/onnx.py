"""ONNX: one file, any batch or one image, no traces of this machine, compared with the network on real images."""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from export.simplification import simplified
from export.verification import verify_onnx
from nasengine.errors import ExportError
from nasengine.protocols import ExportReport

MIN_OPSET, PREFERRED_OPSET = 18, 20
INPUT_NAME, OUTPUT_NAME = "images", "logits"
_FAULTS = (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, torch.onnx.OnnxExporterError)


def export_onnx(
    network: nn.Module, images: Tensor, path: Path, metadata: Mapping[str, str], *, is_static: bool = False
) -> ExportReport:
    """Write ``network`` to ``path`` and compare both; nothing is written where they disagree.

    The same network and metadata give the same bytes.

    Args:
        network: takes images of shape (batch, channels, height, width), returns logits (batch, num_classes).
        images: real images, normalised as in training; at least 7 for the check of batch sizes.
        path: file to write.
        metadata: texts that are stored in the file.
        is_static: the file takes one image at a time, as runtimes of small devices want it, rather than any number.

    Raises:
        ExportError: the exporter failed, or runtime and network disagree.
    """
    network = network.eval().cpu()
    images = images.cpu()
    if path.is_dir():
        raise ExportError(f"onnx file {path}: expected the name of a file, got a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            draft = Path(folder) / path.name
            model = simplified(_convert(network, images, is_static))
            model.producer_name = "nasengine"
            onnx.helper.set_model_props(model, dict(metadata))
            onnx.checker.check_model(model, full_check=True)
            onnx.save_model(model, draft)
            opset = read_opset(draft)
            deviation, agreement = verify_onnx(draft, network, images)
            draft.replace(path)
    except OSError as fault:
        raise ExportError(f"onnx file {path}: could not be written ({fault.strerror})") from fault
    except _FAULTS as fault:
        reason = str(fault).strip().splitlines()[0]
        raise ExportError(f"onnx file {path}: expected a network that torch can export, got: {reason}") from fault
    return ExportReport(path, opset, deviation, agreement, len(images))


def read_opset(path: Path) -> int:
    """Operator set that a file declares.

    Raises:
        ExportError: it is older than 18.
    """
    declared = {entry.domain: entry.version for entry in onnx.load(path, load_external_data=False).opset_import}
    opset = declared.get("", 0)
    if opset < MIN_OPSET:
        raise ExportError(f"onnx file {path}: expected operator set {MIN_OPSET} or newer, got {opset}")
    return opset


def _convert(network: nn.Module, images: Tensor, is_static: bool) -> onnx.ModelProto:
    with _quiet():
        program = torch.onnx.export(
            _OneInput(network),
            (images[: 1 if is_static else 2],),
            dynamo=True,
            external_data=False,
            opset_version=PREFERRED_OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=None if is_static else ({0: "batch"},),
            verbose=False,
        )
    if program is None:
        raise ExportError("onnx export: expected a program from torch, got none")
    return program.model_proto


class _OneInput(nn.Module):
    """Hides arguments that only training uses."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch's exporter logs and warns about its own deprecations."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
