"""Files that get their final name when they are whole, and what keeps them from it in one sentence."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnxruntime

from nasengine.errors import ExportError, NasEngineError

_STATE = onnxruntime.capi.onnxruntime_pybind11_state
_REFUSALS = (_STATE.Fail, _STATE.RuntimeException, _STATE.InvalidGraph, _STATE.InvalidArgument, _STATE.NotImplemented,
             onnx.checker.ValidationError, onnx.shape_inference.InferenceError,
             ValueError, LookupError, RuntimeError, AttributeError, TypeError, AssertionError)  # fmt: skip
"""What onnx and onnxruntime's tools raise on graphs that they cannot handle."""


@contextmanager
def draft_folder(path: Path, what: str) -> Iterator[Path]:
    """A folder beside the final place, gone afterwards, for drafts; rename the one that is whole.

    Args:
        path: of the final file; its folder is made.
        what: kind of the file, for the message.

    Raises:
        ExportError: a draft could not be written, or a tool does not take the network.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".draft-") as folder:
            yield Path(folder)
    except NasEngineError:
        raise
    except OSError as fault:
        raise ExportError(f"{what} file {path}: could not be written ({fault.strerror or fault})") from fault
    except _REFUSALS as fault:
        reason = (str(fault).strip().splitlines() or [type(fault).__name__])[0]
        raise ExportError(f"{what} file {path}: expected a network that can be converted, got: {reason}") from fault
