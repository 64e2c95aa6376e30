"""LiteRT's format (.tflite), formerly TensorFlow Lite, for phones, boards and, quantised, microcontrollers."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy
import torch
from torch import Tensor, nn

from export.runtimes.checked import CheckedExport, one_by_one, package
from export.runtimes.conversion import conversion, in_default_layout


class LiteRt:
    """Writes ``name.tflite`` in float32, for one image at a time in torch's order of axes; it holds no metadata."""

    name, suffix = "litert", ".tflite"

    def convert(self, network: nn.Module, images: Tensor, path: Path, metadata: Mapping[str, str]) -> int:
        """From torch, without ONNX."""
        converter = package("litert_torch", self.name)
        with conversion(self.name):
            example = images[:1].clone(memory_format=torch.contiguous_format)
            converter.convert(in_default_layout(network), (example,)).export(str(path))
        return 0

    def load(self, path: Path, threads: int | None = None) -> Callable[[Tensor], numpy.ndarray]:
        """The file in LiteRT's interpreter."""
        interpreters = package("ai_edge_litert.interpreter", self.name)
        with conversion(self.name):
            interpreter = interpreters.Interpreter(model_content=path.read_bytes(), num_threads=threads)
            interpreter.allocate_tensors()
        entry, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

        def run(image: numpy.ndarray) -> numpy.ndarray:
            interpreter.set_tensor(entry, image)
            interpreter.invoke()
            return interpreter.get_tensor(result)

        return one_by_one(run)


export_litert = CheckedExport(LiteRt())
