"""From an ONNX file to a computation graph. Files are untrusted: nothing in them is executed, sizes are limited."""

from pathlib import Path
from typing import Any

import numpy
import onnx
from onnx import numpy_helper

from nasengine.errors import GraphError, TracingError
from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.tracing.onnx_operations import TRANSLATORS

MAX_FILE_BYTES = 2**31 - 1  # a protobuf holds no more
MAX_NODES = 100_000
MAX_CONSTANT_VALUES = 1_000  # of shapes, axes and pads, the only constants whose values are read


def graph_from_onnx(path: Path) -> ComputationGraph:
    """Computation graph of a convolutional network in an ONNX file.

    Weights are not read: files with weights outside are fine as long as these lie inside the folder of the file.

    Raises:
        TracingError: the file is missing, too large, damaged or refers to files elsewhere, or holds an operation that
            has no counterpart among the primitives.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise TracingError(f"onnx file {path}: expected at most {MAX_FILE_BYTES} bytes, got {size}")
        model = onnx.load(path, load_external_data=False)
    except OSError as fault:
        raise TracingError(f"onnx file {path}: could not be read ({fault.strerror})") from fault
    except (ValueError, onnx.checker.ValidationError) as fault:
        raise TracingError(f"onnx file {path}: expected an ONNX model, got {fault}") from fault
    except Exception as fault:
        # protobuf's DecodeError moved between modules over its versions and shares no base with ValueError
        if type(fault).__name__ != "DecodeError":
            raise
        raise TracingError(f"onnx file {path}: expected an ONNX model, got a file that is none") from fault
    if len(model.graph.node) > MAX_NODES:
        raise TracingError(f"onnx file {path}: expected at most {MAX_NODES} nodes, got {len(model.graph.node)}")
    _check_external_data(model, path)
    return OnnxReader(model, str(path)).run()


def _check_external_data(model: onnx.ModelProto, path: Path) -> None:
    folder = path.parent.resolve()
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location" and not (folder / entry.value).resolve().is_relative_to(folder):
                raise TracingError(
                    f"onnx file {path}, weight {tensor.name}: expected external data inside its folder, "
                    f"got {entry.value!r}"
                )


class OnnxReader:
    """One walk over the nodes of a model."""

    def __init__(self, model: onnx.ModelProto, where: str) -> None:
        self.graph, self.where, self.builder = model.graph, where, GraphBuilder()
        self.initializers = {tensor.name: tensor for tensor in self.graph.initializer}
        self.place: dict[str, int] = {}
        self.used: dict[str, int] = {}

    def run(self) -> ComputationGraph:
        for value in self.graph.input:
            if value.name not in self.initializers:
                self.place[value.name] = self.builder.input(self._image_shape(value), value.name)
        for node in self.graph.node:
            self._read(node)
        missing = [value.name for value in self.graph.output if value.name not in self.place]
        if missing or not self.graph.output:
            raise TracingError(f"{self.where}: expected outputs that nodes compute, got {missing or 'none'}")
        graph = self.builder.build(*(self.place[value.name] for value in self.graph.output))
        graph.check()
        return graph

    def _image_shape(self, value: onnx.ValueInfoProto) -> tuple[int, ...]:
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if len(sizes) < 2 or any(size < 1 for size in sizes[1:]):
            raise TracingError(
                f"{self.where}, input {value.name}: expected fixed sizes after the batch dimension, got {sizes}"
            )
        return tuple(sizes[1:])

    def _read(self, node: onnx.NodeProto) -> None:
        if not node.output:
            raise TracingError(f"{self.where}, node {node.name or node.op_type}: expected an output, got none")
        if node.op_type == "Constant":
            tensor = next((entry.t for entry in node.attribute if entry.name == "value"), None)
            if tensor is None:
                raise TracingError(f"{self.where}, node {node.name}: expected a tensor as constant")
            self.initializers[node.output[0]] = tensor
            return
        translator = TRANSLATORS.get(node.op_type)
        if translator is None or node.domain not in ("", "ai.onnx"):
            raise TracingError(
                f"{self.where}, node {node.name or node.output[0]}: expected one of {', '.join(sorted(TRANSLATORS))}, "
                f"got {node.domain + '.' if node.domain else ''}{node.op_type}"
            )
        settings = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        try:
            self.place[node.output[0]] = translator(self, node, settings)
        except (GraphError, ValueError, LookupError, TypeError, ArithmeticError) as fault:
            raise TracingError(f"{self.where}, node {node.name or node.output[0]} ({node.op_type}): {fault}") from fault

    def source(self, node: onnx.NodeProto, slot: int) -> int:
        """The graph node that feeds a slot."""
        name = node.input[slot]
        if name not in self.place:
            raise GraphError(f"expected input {slot} to come from the images, got {name!r}")
        return self.place[name]

    def add(self, kind: str, node: onnx.NodeProto, *sources: int, **settings: Any) -> int:
        """A node of the graph with a name that is used once."""
        name = node.name or node.output[0]
        self.used[name] = self.used.get(name, 0) + 1
        label = name if self.used[name] == 1 else f"{name}#{self.used[name]}"
        return self.builder.add(kind, *sources, name=label, **settings)

    def is_weight(self, node: onnx.NodeProto, slot: int) -> bool:
        """Whether a slot holds stored values."""
        return slot < len(node.input) and node.input[slot] in self.initializers

    def weight_shape(self, node: onnx.NodeProto, slot: int) -> tuple[int, ...]:
        """Shape of stored values."""
        return tuple(self.initializers[node.input[slot]].dims)

    def numbers(self, node: onnx.NodeProto, slot: int) -> list[float] | list[int]:
        """Stored values of a few numbers, such as axes."""
        tensor = self.initializers[node.input[slot]]
        if numpy.prod(tensor.dims, dtype=float) > MAX_CONSTANT_VALUES or tensor.external_data:
            raise GraphError(f"expected a small constant in slot {slot}, got shape {tuple(tensor.dims)}")
        return numpy_helper.to_array(tensor).reshape(-1).tolist()

    def has(self, node: onnx.NodeProto, slot: int) -> bool:
        """Whether an optional slot is used."""
        return slot < len(node.input) and node.input[slot] != ""
