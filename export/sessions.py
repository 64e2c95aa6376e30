"""Opens ONNX files in onnxruntime, always with a stated number of threads, and runs images through them."""

from pathlib import Path

import numpy
import onnxruntime
from torch import Tensor

from nasengine.errors import ExportError
from nasengine.tracing.onnx_file import one_sentence


def open_session(path: Path, *, threads: int | None = None, may_spin: bool = True) -> onnxruntime.InferenceSession:
    """A file in onnxruntime's CPU provider, with all graph optimisations.

    Args:
        path: of the ONNX file.
        threads: within operators; None lets the runtime choose. Operators never run side by side.
        may_spin: threads wait busily for work, where there are several; other sessions in this process then wait, too.

    Raises:
        ExportError: the runtime cannot load the file.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors come as exceptions
    options.inter_op_num_threads = 1
    if threads is not None:
        options.intra_op_num_threads = threads
        options.add_session_config_entry(
            "session.intra_op.allow_spinning", "0" if threads == 1 or not may_spin else "1"
        )
    try:
        # without a fallback: it prints, and then tries the same again
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except _FAULTS as fault:
        reason = next(iter(str(fault).strip().splitlines()), type(fault).__name__)
        message = f"onnx file {path}: expected one that onnxruntime can load, got: {reason}"
        raise ExportError(one_sentence(message)) from fault


def run_images(session: onnxruntime.InferenceSession, images: Tensor) -> numpy.ndarray:
    """Logits of images, (num_images, num_classes); a file with a fixed batch gets that many at a time.

    Raises:
        ExportError: another number of rows comes back.
    """
    entry = session.get_inputs()[0]
    batch = entry.shape[0] if isinstance(entry.shape[0], int) else len(images)
    chunks = images.contiguous().split(batch)
    logits = numpy.concatenate([session.run(None, {entry.name: chunk.numpy()})[0] for chunk in chunks])
    if len(logits) != len(images):
        raise ExportError(f"onnx session: expected {len(images)} rows of logits, got {len(logits)}")
    return logits


_STATE = onnxruntime.capi.onnxruntime_pybind11_state
_FAULTS = (
    _STATE.DeviceReset, _STATE.EPFail, _STATE.EngineError, _STATE.Fail, _STATE.InvalidArgument, _STATE.InvalidGraph,
    _STATE.InvalidProtobuf, _STATE.ModelLoadCanceled, _STATE.ModelLoaded, _STATE.ModelRequiresCompilation,
    _STATE.NoModel, _STATE.NoSuchFile, _STATE.NotFound, _STATE.NotImplemented, _STATE.RuntimeException,
    RuntimeError, ValueError, TypeError, IndexError, MemoryError, OverflowError,  # what C++'s own exceptions become
)  # fmt: skip
