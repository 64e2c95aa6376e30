"""Walks over the nodes of an ONNX model and writes the graph."""

from collections.abc import Sequence
from typing import Any

import onnx

from nasengine.errors import GraphError, TracingError
from nasengine.graph.computation_graph import ComputationGraph, Shape
from nasengine.tracing.batch_layout import NotExpressibleError
from nasengine.tracing.graph_writer import MAX_VALUES, Constant, GraphWriter, Value, like
from nasengine.tracing.onnx_constants import MAX_RANK, attribute_constant, folded, stored_constant
from nasengine.tracing.onnx_operations import TRANSLATORS
from nasengine.tracing.onnx_shapes import OutputShapes

MAX_OUTPUTS = 1_000
MAX_SLOTS = 10_000  # of one node
_FAULTS = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError)
_IMAGE_TYPES = (
    onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE,
    onnx.TensorProto.UINT8, onnx.TensorProto.INT8,
)  # fmt: skip


class OnnxReader:
    """One walk over the nodes of a model.

    Args:
        model: the parsed file; a batch dimension that is not fixed counts as one image.
        where: how messages begin.
    """

    def __init__(self, model: onnx.ModelProto, where: str) -> None:
        self.graph, self.where, self.writer = model.graph, where, GraphWriter()
        self.place: dict[str, Value | Constant] = {}
        self.opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
        self.shapes = OutputShapes(model, self.opset)

    def run(self) -> ComputationGraph:
        try:
            for sparse in self.graph.sparse_initializer:
                self.place[sparse.values.name] = Constant(tuple(sparse.dims[:MAX_RANK]), len(sparse.values.dims))
            for tensor in self.graph.initializer:
                self.place[tensor.name] = stored_constant(tensor)
        except GraphError as fault:
            raise TracingError(f"{self.where}, stored weights: {fault}") from fault
        self._enter()
        for node in self.graph.node:
            self._read(node)
        return self._finish()

    def _enter(self) -> None:
        inputs = [value for value in self.graph.input if value.name not in self.place]
        if len(inputs) != 1:
            raise TracingError(
                f"{self.where}: expected one input, of images, got {len(inputs)} "
                f"({', '.join(str(value.name) for value in inputs[:5]) or 'none'}); export a network of one tensor"
            )
        value = inputs[0]
        if value.type.tensor_type.elem_type not in _IMAGE_TYPES:
            raise TracingError(
                f"{self.where}, input {value.name}: expected images of floating-point numbers or bytes, "
                f"got type {value.type.tensor_type.elem_type or 'none'}; token ids are no images"
            )
        try:
            self.place[value.name] = self.writer.input(self._image_shape(value), str(value.name))
        except GraphError as fault:
            raise TracingError(f"{self.where}, input {value.name}: {fault}") from fault

    def _image_shape(self, value: onnx.ValueInfoProto) -> Shape:
        dims = value.type.tensor_type.shape.dim
        sizes = [dim.dim_value for dim in dims[:MAX_RANK]]
        if not 2 <= len(dims) < MAX_RANK or any(size < 1 for size in sizes[1:]) or max(sizes) > MAX_VALUES:
            shown = [dim.dim_param or dim.dim_value for dim in dims[:MAX_RANK]]
            raise TracingError(
                f"{self.where}, input {value.name}: expected fixed sizes after the batch dimension, got {shown}; "
                "export with a fixed image size, or set it with onnxruntime.tools.make_dynamic_shape_fixed"
            )
        return (max(1, sizes[0]), *sizes[1:])

    def _read(self, node: onnx.NodeProto) -> None:
        name = node.name or next(iter(node.output), "") or node.op_type
        if not any(node.output):
            raise TracingError(f"{self.where}, node {name}: expected an output, got none")
        try:
            if len(node.input) + len(node.output) > MAX_SLOTS:
                slots = len(node.input) + len(node.output)
                raise GraphError(f"expected at most {MAX_SLOTS} inputs and outputs, got {slots}")
            self._check_order(node)
            results = self._translate(node)
        except _FAULTS as fault:
            reason = fault if isinstance(fault, GraphError) else f"expected settings that fit, got {fault!r}"
            raise TracingError(f"{self.where}, node {name} ({node.op_type}): {reason}") from fault
        self.place.update((output, result) for output, result in zip(node.output, results, strict=False) if output)

    def _check_order(self, node: onnx.NodeProto) -> None:
        missing = [slot for slot in node.input if slot and slot not in self.place]
        if missing:
            later = any(missing[0] in other.output for other in self.graph.node)
            raise GraphError(
                f"expected inputs that earlier nodes compute, got {missing[0]!r}, which "
                + ("a later node computes; the graph has a cycle or is not sorted" if later else "no node computes")
            )
        twice = [output for output in node.output if output in self.place]
        if twice:
            raise GraphError(f"expected every value to be computed once, got {twice[0]!r} again")

    def _translate(self, node: onnx.NodeProto) -> Sequence[Value | Constant]:
        settings = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        if node.op_type == "Constant":
            return [attribute_constant(node, settings)]
        found = [self.place[slot] if slot else None for slot in node.input]
        found.extend(self.place[name] for name in sorted(_captured(node), key=str) if name in self.place)
        if not any(isinstance(value, Value) for value in found):
            constants = [value for value in found if isinstance(value, Constant) or value is None]
            result = folded(node, constants, settings)
            return [result] if result is not None else self._unknown_constant(node, found)
        if node.op_type in TRANSLATORS and node.domain in ("", "ai.onnx"):
            try:
                result = TRANSLATORS[node.op_type](self, node, settings)
                return result if isinstance(result, list) else [result]
            except NotExpressibleError:
                pass  # the operator is known, but not with these settings
        return self._other(node, found)

    def _unknown_constant(self, node: onnx.NodeProto, found: Sequence[Value | Constant | None]) -> list[Constant]:
        learned = sum(value.learned for value in found if isinstance(value, Constant))
        shapes = self.shapes.of(node, self.place)
        return [Constant(shape or (), learned) for shape in shapes]

    def _other(self, node: onnx.NodeProto, found: Sequence[Value | Constant | None]) -> list[Value]:
        values = [value for value in found if isinstance(value, Value)]
        learned = sum(value.learned for value in found if isinstance(value, Constant))
        operator = f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        label, results = self.label(node), []
        for shape in self.shapes.of(node, self.place):
            layout = like(values, shape) if shape else values[0].layout
            results.append(self.writer.other(label, operator, values, layout, learned=learned))
            learned = 0  # counted once, at the first output
        return results

    def _finish(self) -> ComputationGraph:
        found = [self.place.get(value.name) for value in self.graph.output]
        outputs = [value for value in found if isinstance(value, Value)]
        if len(outputs) != len(found) or not 1 <= len(outputs) <= MAX_OUTPUTS:
            names = [value.name for value in self.graph.output[:5]]
            raise TracingError(
                f"{self.where}: expected 1 to {MAX_OUTPUTS} outputs that nodes compute from the images, "
                f"got {len(found)}: {names}"
            )
        try:
            return self.writer.finish(outputs)
        except GraphError as fault:
            raise TracingError(f"{self.where}: {fault}") from fault

    def label(self, node: onnx.NodeProto) -> str:
        """Name of a node, or of its first output."""
        return str(node.name or next(output for output in node.output if output))

    def find(self, node: onnx.NodeProto, slot: int) -> Value | Constant | None:
        """What fills a slot."""
        return self.place[node.input[slot]] if self.has(node, slot) else None

    def source(self, node: onnx.NodeProto, slot: int) -> Value:
        """What fills a slot, which must depend on the images."""
        found = self.find(node, slot)
        if not isinstance(found, Value):
            raise NotExpressibleError(f"expected input {slot} to depend on the images, got {list(node.input)}")
        return found

    def weight(self, node: onnx.NodeProto, slot: int) -> Constant:
        """What fills a slot, which must be stored."""
        found = self.find(node, slot)
        if not isinstance(found, Constant):
            raise NotExpressibleError(f"expected input {slot} to be stored, got {list(node.input)}")
        return found

    def numbers(self, node: onnx.NodeProto, slot: int) -> list[Any]:
        """Stored values of a few numbers, such as axes."""
        values = self.weight(node, slot).values
        if values is None:
            raise NotExpressibleError(f"expected a small constant in slot {slot}, got values that are not known")
        return list(values.reshape(-1).tolist())

    def has(self, node: onnx.NodeProto, slot: int) -> bool:
        """Whether an optional slot is used."""
        return slot < len(node.input) and node.input[slot] != ""


def _captured(node: onnx.NodeProto) -> set[str]:
    """Names that nested graphs (If, Loop, Scan) take from around them, and their own."""
    names: set[str] = set()
    for entry in node.attribute:
        for nested in (entry.g, *entry.graphs):
            for inner in nested.node:
                names.update(inner.input)
                names.update(_captured(inner))
    return names
