"""ExecuTorch's format (.pte) for phones and boards, lowered to XNNPACK, the library of its ARM and x86 kernels."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy
import torch
from torch import Tensor, nn

from export.runtimes.checked import CheckedExport, one_by_one, package
from export.runtimes.conversion import conversion, in_default_layout


class ExecuTorch:
    """Writes ``name.pte`` for one image at a time; its method ``metadata`` returns the metadata as JSON."""

    name, suffix = "executorch", ".pte"

    def convert(self, network: nn.Module, images: Tensor, path: Path, metadata: Mapping[str, str]) -> int:
        """From torch, without ONNX."""
        exir = package("executorch.exir", self.name)
        backend = package("executorch.backends.xnnpack.partition.xnnpack_partitioner", self.name)
        with conversion(self.name):
            program = torch.export.export(in_default_layout(network), (_plain(images[:1]),))
            lowered = exir.to_edge_transform_and_lower(
                program,
                partitioner=[backend.XnnpackPartitioner()],
                constant_methods={"metadata": json.dumps(dict(metadata))},
            )
            path.write_bytes(lowered.to_executorch().buffer)
        return 0

    def load(self, path: Path, threads: int | None = None) -> Callable[[Tensor], numpy.ndarray]:
        """The file in ExecuTorch's Python runtime, which chooses the number of threads itself."""
        runtime = package("executorch.runtime", self.name)
        content = path.read_bytes()
        with conversion(self.name):
            program = runtime.Runtime.get().load_program(content)
            method = program.load_method("forward")

        def run(image: numpy.ndarray, _alive: object = (content, program)) -> numpy.ndarray:
            # the method points into the program, and the program into the content, without holding either
            return method.execute([torch.from_numpy(image)])[0].numpy().copy()

        return one_by_one(run)


def _plain(image: Tensor) -> Tensor:
    return image.clone(memory_format=torch.contiguous_format)


export_executorch = CheckedExport(ExecuTorch())
