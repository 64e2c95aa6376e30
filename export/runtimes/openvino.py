"""OpenVINO's format (.xml with its weights in .bin), for Intel's processors, graphics and accelerators."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
from torch import Tensor, nn

from export.onnx import export_onnx
from export.runtimes.checked import CheckedExport, package
from export.runtimes.conversion import conversion


class OpenVino:
    """Writes ``name.xml`` and ``name.bin``, in float32.

    The file is read by ``openvino.Core``: the converters of the package report on their use over the network.
    """

    name, suffix = "openvino", ".xml"

    def convert(self, network: nn.Module, images: Tensor, path: Path, metadata: Mapping[str, str]) -> int:
        """By way of ONNX; the metadata stays in the file."""
        package("openvino", self.name)
        source = path.with_suffix(".onnx")
        opset = export_onnx(network, images, source, metadata).opset
        self.convert_file(source, path, metadata)
        source.unlink()
        return opset

    def convert_file(self, source: Path, path: Path, metadata: Mapping[str, str]) -> None:
        """Turn an ONNX file, float or int8, into the two files.

        Raises:
            DependencyError: OpenVINO is not installed.
            ExportError: OpenVINO cannot read the file.
        """
        openvino = package("openvino", self.name)
        with conversion(self.name):
            model = openvino.Core().read_model(str(source))
            for key, value in metadata.items():
                model.set_rt_info(value, ["nasengine", key])
            openvino.save_model(model, str(path), compress_to_fp16=False)

    def load(self, path: Path, threads: int | None = None) -> Callable[[Tensor], numpy.ndarray]:
        """The file on the processor, in float32."""
        openvino = package("openvino", self.name)
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        with conversion(self.name):
            compiled = openvino.Core().compile_model(str(path), "CPU", settings)
        return lambda images: compiled([numpy.ascontiguousarray(images.numpy())])[0].copy()


export_openvino = CheckedExport(OpenVino())
