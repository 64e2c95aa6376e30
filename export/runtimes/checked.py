"""One way of exporting for all runtimes: convert beside the place, run there, compare with the network, then rename."""

import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy
from torch import Tensor, nn

from export.verification import verify
from nasengine.errors import DependencyError, ExportError
from nasengine.protocols import ExportReport


@runtime_checkable
class Runtime(Protocol):
    """What writes files for a runtime and runs them.

    ``suffix`` ends the names of its files. ``convert`` writes ``path``, and what goes with it beside it, and returns
    the ONNX operator set that it went through (0: none). ``load`` gives logits of any number of images.
    """

    @property
    def name(self) -> str: ...
    @property
    def suffix(self) -> str: ...
    def convert(self, network: nn.Module, images: Tensor, path: Path, metadata: Mapping[str, str]) -> int: ...
    def load(self, path: Path, threads: int | None = None) -> Callable[[Tensor], numpy.ndarray]: ...


@dataclass(frozen=True)
class CheckedExport:
    """An exporter (``nasengine.protocols.Exporter``) for a runtime.

    Args:
        runtime: what converts and runs.
    """

    runtime: Runtime

    def __call__(self, network: nn.Module, images: Tensor, path: Path, metadata: Mapping[str, str]) -> ExportReport:
        """Write the files of ``network`` and compare both; nothing is written where they disagree.

        Args:
            network: takes images of shape (batch, channels, height, width), returns logits (batch, num_classes).
            images: real images, normalised as in training.
            path: file to write; its name ends as the runtime wants it.
            metadata: texts that are stored in the file, where its format has room for them.

        Raises:
            DependencyError: the runtime's package is not installed.
            ExportError: the conversion failed, or runtime and network disagree.
        """
        where = f"{self.runtime.name} file {path}"
        if path.suffix != self.runtime.suffix or path.is_dir():
            raise ExportError(f"{where}: expected the name of a file that ends in {self.runtime.suffix}")
        network, images = network.eval().cpu(), images.cpu()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
                draft = Path(folder) / path.name
                opset = self.runtime.convert(network, images, draft, metadata)
                deviation, agreement = verify(self.runtime.load(draft), network, images, where=where)
                for file in sorted(draft.parent.iterdir(), key=lambda file: file == draft):  # the main file last
                    file.replace(path.parent / file.name)
        except OSError as fault:
            raise ExportError(f"{where}: could not be written ({fault.strerror})") from fault
        return ExportReport(path, opset, deviation, agreement, len(images))


def package(module: str, extra: str) -> Any:
    """A module of an optional package.

    Raises:
        DependencyError: the package is not installed.
    """
    try:
        with warnings.catch_warnings():  # such packages warn of what they themselves use
            warnings.simplefilter("ignore")
            return import_module(module)
    except ImportError as fault:
        raise DependencyError(
            f"export to {extra} needs a package that cannot be imported ({fault}): pip install 'nasengine[{extra}]'"
        ) from fault


def one_by_one(run: Callable[[numpy.ndarray], numpy.ndarray]) -> Callable[[Tensor], numpy.ndarray]:
    """For files that take one image at a time: logits of any number of images."""

    def run_all(images: Tensor) -> numpy.ndarray:
        rows = numpy.ascontiguousarray(images.numpy())
        return numpy.concatenate([run(rows[index : index + 1]) for index in range(len(rows))])

    return run_all
