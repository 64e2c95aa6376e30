"""Reads ONNX files. They are untrusted: nothing in them is executed, sizes are limited, other files are not touched."""

import stat
from collections.abc import Iterator
from pathlib import Path

import onnx

from nasengine.errors import TracingError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.tracing.onnx_reader import OnnxReader

MAX_FILE_BYTES = 2**31 - 1  # a protobuf holds no more
MAX_NODES = 100_000
MAX_MESSAGE = 1_000
MIN_OPSET = 7  # from here on shapes broadcast as in numpy


def graph_from_onnx(path: Path) -> ComputationGraph:
    """Computation graph of a network in an ONNX file, as torch.onnx.export or another tool wrote it.

    Weights are not read, so that files with weights outside need not come with them. Operators that have no
    counterpart among the primitives become nodes of kind ``other``; see ``nasengine.tracing.unknown_operators``. A
    file can hold fewer parameters than the module that it came from, as exporters merge batch norms into convolutions.

    Raises:
        TracingError: the file is missing, too large, damaged or refers to files elsewhere; its graph has a cycle, has
            not exactly one input of images, or one without fixed sizes; or an operator is used as it cannot be.
    """
    try:
        return _read(Path(path))
    except TracingError as fault:
        raise TracingError(one_sentence(str(fault))) from fault


def _read(path: Path) -> ComputationGraph:
    model = load_onnx(path)
    where = f"onnx file {path}"
    if not model.graph.node:
        raise TracingError(f"{where}: expected an ONNX model with nodes, got none; is it another kind of file?")
    if len(model.graph.node) > MAX_NODES:
        raise TracingError(f"{where}: expected at most {MAX_NODES} nodes, got {len(model.graph.node)}")
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if any(version < MIN_OPSET for version in versions):
        raise TracingError(
            f"{where}: expected opset {MIN_OPSET} or later, got {min(versions)}; convert it with onnx.version_converter"
        )
    _check_external_data(model.graph, path)
    return OnnxReader(model, where).run()


def one_sentence(message: str) -> str:
    """One printable line of bounded length: messages quote names that strangers chose."""
    text = "".join(letter if letter.isprintable() else "?" for letter in message)
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}..."


def load_onnx(path: Path) -> onnx.ModelProto:
    """A file as protobuf has it, without weights that lie outside.

    Raises:
        TracingError: it is missing, too large, or none.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise TracingError(f"onnx file {path}: expected a file, got a folder or a device")
        if found.st_size > MAX_FILE_BYTES:
            raise TracingError(
                f"onnx file {path}: expected at most {MAX_FILE_BYTES} bytes, got {found.st_size}; "
                "export the weights as external data, they are not needed here"
            )
        if not found.st_size:
            raise TracingError(f"onnx file {path}: expected an ONNX model, got an empty file; export it again")
        return onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as fault:
        raise TracingError(f"onnx file {path}: could not be read ({fault.strerror})") from fault
    except TracingError:
        raise
    except ValueError as fault:
        raise TracingError(f"onnx file {path}: expected an ONNX model, got {fault}") from fault
    except Exception as fault:
        # protobuf's DecodeError moved between modules over its versions and shares no base with ValueError
        if type(fault).__name__ != "DecodeError":
            raise
        raise TracingError(
            f"onnx file {path}: expected an ONNX model, got a file that is none or that is cut short; export it again"
        ) from fault


def _check_external_data(graph: onnx.GraphProto, path: Path) -> None:
    """Refuse files that point elsewhere, although nothing is read there: the next tool to load them would."""
    folder = path.parent.resolve()
    for tensor in _tensors(graph):
        for entry in tensor.external_data:
            if entry.key == "location" and not _is_inside(folder, str(entry.value)):
                raise TracingError(
                    f"onnx file {path}, weight {tensor.name}: expected external data inside its folder, "
                    f"got {entry.value!r}; save the model again with its weights beside it"
                )


def _is_inside(folder: Path, location: str) -> bool:
    try:
        return (folder / location).resolve().is_relative_to(folder)
    except (OSError, ValueError, RuntimeError):  # no path at all, or links in a circle
        return False


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All stored tensors, those in attributes and in nested graphs too."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for entry in node.attribute:
            yield entry.t
            yield from entry.tensors
            for sparse in (entry.sparse_tensor, *entry.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for nested in (entry.g, *entry.graphs):
                yield from _tensors(nested)
