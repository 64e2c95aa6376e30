"""Output shapes of operators that are not known, from ONNX's own shape inference, one node at a time."""

import math
from collections.abc import Mapping
from typing import Any

import onnx
from onnx import numpy_helper

from nasengine.graph.computation_graph import Shape
from nasengine.tracing.graph_writer import MAX_VALUES, Constant, Value
from nasengine.tracing.onnx_constants import MAX_RANK

_FAULTS = (
    onnx.checker.ValidationError, onnx.shape_inference.InferenceError, onnx.defs.SchemaError,
    ValueError, TypeError, RuntimeError, LookupError,
)  # fmt: skip


class OutputShapes:
    """Asks the operator's schema first, then what the file itself declares.

    Args:
        model: the model.
        opset: version of ONNX's own operators in it.
    """

    def __init__(self, model: onnx.ModelProto, opset: int) -> None:
        self._opsets, self._opset, self._ir = list(model.opset_import[:100]), opset, model.ir_version
        values = (*model.graph.value_info, *model.graph.output)
        self._declared = {value.name: value.type for value in values}
        self._batch = next(
            (value.type.tensor_type.shape.dim[0].dim_param for value in model.graph.input
             if value.type.tensor_type.shape.dim), ""
        )  # fmt: skip

    def of(self, node: onnx.NodeProto, place: Mapping[str, Value | Constant]) -> list[Shape | None]:
        """One shape for each output of a node; None where nobody knows it."""
        inferred = self._inferred(node, place)
        shapes = []
        for output in node.output:
            found = self._sizes(inferred.get(output)) if output in inferred else None
            shapes.append(found or self._sizes(self._declared.get(output)))
        return shapes

    def _inferred(self, node: onnx.NodeProto, place: Mapping[str, Value | Constant]) -> Mapping[str, Any]:
        if any(entry.HasField("g") or entry.graphs for entry in node.attribute):
            return {}  # nested graphs are not walked through
        given = {slot: place[slot] for slot in node.input if slot}
        types = {slot: _type(value) for slot, value in given.items()}
        data = {
            slot: numpy_helper.from_array(value.values)
            for slot, value in given.items()
            if isinstance(value, Constant) and value.values is not None
        }
        try:
            if self._opset and node.domain in ("", "ai.onnx"):
                schema = onnx.defs.get_schema(node.op_type, self._opset, "")
            else:
                schema = onnx.defs.get_schema(node.op_type, node.domain)
            return dict(
                onnx.shape_inference.infer_node_outputs(
                    schema, node, types, data, opset_imports=self._opsets, ir_version=self._ir
                )
            )
        except _FAULTS:
            return {}

    def _sizes(self, found: Any) -> Shape | None:
        """Fixed sizes of a type; the batch, where it has the input's name for it, counts as one image."""
        if found is None or not found.HasField("tensor_type") or not found.tensor_type.HasField("shape"):
            return None
        dims = found.tensor_type.shape.dim
        sizes = tuple(1 if dim.dim_param and dim.dim_param == self._batch else dim.dim_value for dim in dims[:MAX_RANK])
        is_usable = sizes and len(dims) < MAX_RANK and min(sizes) >= 1 and math.prod(sizes) <= MAX_VALUES
        return sizes if is_usable else None


def _type(value: Value | Constant) -> onnx.TypeProto:
    kind = onnx.TensorProto.FLOAT
    if isinstance(value, Constant) and value.values is not None:
        kind = onnx.helper.np_dtype_to_tensor_dtype(value.values.dtype)
    return onnx.helper.make_tensor_type_proto(kind, value.shape)
