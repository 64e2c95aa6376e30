"""onnxruntime's own format (.ort) and the list of operators that a reduced build of onnxruntime needs for it.

Phones and small computers build onnxruntime with ``--include_ops_by_config`` and that list; such a build reads .ort
files alone. The graph is optimised here, without the one step that would tie it to x86 processors.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import onnxruntime
from torch import Tensor, nn

from export.onnx import export_onnx
from export.runtimes.checked import CheckedExport
from export.runtimes.conversion import conversion
from export.sessions import open_session, run_images

CONFIG_SUFFIX = ".required_operators.config"
_TIED_TO_X86 = ["NchwcTransformer"]


class OrtFormat:
    """Writes ``name.ort`` and ``name.required_operators.config``."""

    name, suffix = "ort", ".ort"

    def convert(self, network: nn.Module, images: Tensor, path: Path, metadata: Mapping[str, str]) -> int:
        """By way of ONNX; the metadata stays in the file."""
        source = path.with_suffix(".onnx")
        opset = export_onnx(network, images, source, metadata).opset
        self.convert_file(source, path)
        source.unlink()
        return opset

    def convert_file(self, source: Path, path: Path) -> None:
        """Turn an ONNX file, float or int8, into the two files.

        Raises:
            ExportError: onnxruntime cannot load the file.
        """
        open_session(source)  # errors of loading have one place
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(path)
        options.add_session_config_entry("session.save_model_format", "ORT")
        with conversion(self.name):
            onnxruntime.InferenceSession(
                str(source), options, providers=["CPUExecutionProvider"], disabled_optimizers=_TIED_TO_X86
            )
            _write_config(path)

    def load(self, path: Path, threads: int | None = None) -> Callable[[Tensor], numpy.ndarray]:
        """The file in onnxruntime."""
        return partial(run_images, open_session(path, threads=threads))


def _write_config(path: Path) -> None:
    from onnxruntime.tools.ort_format_model import create_config_from_models

    config: Any = path.with_suffix(CONFIG_SUFFIX)
    create_config_from_models([path], config, False)
    lines = config.read_text().splitlines()
    config.write_text("".join(f"{line}\n" for line in lines if line and not line.startswith("#")))  # they hold paths


export_ort = CheckedExport(OrtFormat())
