"""Operations as nodes of ONNX files with random weights, one function for each kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

from nasengine.errors import ExportError
from nasengine.graph import Operation, Shape
from nasengine.graph.cost import operation_weight_shape

OPSET, IR_VERSION = 20, 10
BLOCK_DOMAIN = "com.microsoft.nchwc"
GAIN = 1.2  # of random weights: values neither vanish nor overflow on their way through a network


class FileWriter:
    """Collects the nodes and weights of one file."""

    def __init__(self, seed: int) -> None:
        self.rng = numpy.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.shapes: dict[str, Shape] = {}
        self.weights: list[TensorProto] = []

    def node(self, kind: str, *sources: str, domain: str = "", **settings: Any) -> str:
        """Add a node; returns the name of its result."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(sources), [name], domain=domain, **settings))
        return name

    def constant(self, values: Any, dtype: str = "float32") -> str:
        """Add fixed values; returns their name."""
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(numpy.asarray(values, dtype=dtype), name))
        return name

    def random(self, *shape: int, fan_in: int = 1) -> str:
        """Add random weights that keep the size of values; returns their name."""
        return self.constant(self.rng.standard_normal(shape, dtype="float32") * (GAIN / fan_in**0.5))

    def save(self, inputs: dict[str, Shape], outputs: dict[str, Shape], path: Path) -> None:
        """Write the file: shapes of inputs and outputs by name, without the batch, which stays open."""

        def described(shapes: dict[str, Shape]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
                for name, shape in shapes.items()
            ]

        between = {name: shape for name, shape in self.shapes.items() if name not in inputs and name not in outputs}
        parts = described(inputs), described(outputs), self.weights
        graph = helper.make_graph(self.nodes, "network", *parts, value_info=described(between))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(BLOCK_DOMAIN, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="nasengine")
        try:
            path.write_bytes(model.SerializeToString())
        except OSError as fault:
            raise ExportError(f"onnx file {path}: could not be written ({fault.strerror})") from fault


def write_operation(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    """Add nodes for an operation; returns the name of its result.

    Raises:
        ExportError: there is no way to write its kind.
    """
    if operation.kind in _SIMPLE:
        return writer.node(_SIMPLE[operation.kind], *sources)
    if operation.kind not in _WRITERS:
        raise ExportError(f"operation {operation.kind}: expected one of {', '.join(sorted(WRITABLE))}")
    return _WRITERS[operation.kind](writer, operation, sources)


def window_settings(operation: Operation) -> dict[str, Any]:
    """Attributes of convolutions and pools."""
    return {
        "kernel_shape": list(operation.kernel), "strides": list(operation.stride), "pads": [*operation.padding] * 2,
        "dilations": list(operation.dilation),
    }  # fmt: skip


def _conv(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    shape = operation_weight_shape(operation)
    weight = writer.random(*shape, fan_in=shape[1] * shape[2] * shape[3])
    return writer.node("Conv", *sources, weight, **window_settings(operation), group=operation.groups)


def _batch_norm(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    channels = operation.output_shape[0]
    ones, zeros = writer.constant(numpy.ones(channels)), writer.constant(numpy.zeros(channels))
    return writer.node("BatchNormalization", *sources, ones, zeros, zeros, ones)


def _layer_norm(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    shape = operation.attribute("shape_normalized") or operation.output_shape[-1:]
    scale, shift = writer.constant(numpy.ones(shape)), writer.constant(numpy.zeros(shape))
    return writer.node("LayerNormalization", *sources, scale, shift, axis=-len(shape))


def _linear(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    inputs, outputs = operation.input_shapes[0][-1], operation.output_shape[-1]
    if len(operation.output_shape) == 1:
        weight = writer.random(outputs, inputs, fan_in=inputs)
        return writer.node("Gemm", *sources, weight, writer.random(outputs), transB=1)
    product = writer.node("MatMul", *sources, writer.random(inputs, outputs, fan_in=inputs))
    return writer.node("Add", product, writer.random(outputs)) if operation.bias else product


def write_pool(writer: FileWriter, operation: Operation, sources: list[str], domain: str = "") -> str:
    """Add a pool, of ONNX or of another domain with the same attributes."""
    settings = window_settings(operation) | {"ceil_mode": int(operation.attribute("ceil_mode", False))}
    if operation.kind == "max_pool":
        return writer.node("MaxPool", *sources, domain=domain, **settings)
    settings["count_include_pad"] = int(operation.attribute("count_include_pad", True))
    return writer.node("AveragePool", *sources, domain=domain, **settings)


def _add(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    total = sources[0]
    for source in sources[1:]:
        total = writer.node("Add", total, source)
    return total


def _concat(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    return writer.node("Concat", *sources, axis=int(operation.attribute("axis")) + 1)


def _zero(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    batch = writer.node("Shape", "input0", start=0, end=1)
    sizes = [writer.constant([size], "int64") for size in operation.output_shape]
    shape = writer.node("Concat", batch, *sizes, axis=0)
    return writer.node("ConstantOfShape", shape)


def _cut(writer: FileWriter, source: str, axis: int, range_: tuple[int, int, int]) -> str:
    start, end, step = ([writer.constant([number], "int64")] for number in range_)
    return writer.node("Slice", source, *start, *end, writer.constant([axis], "int64"), *step)


def _crop(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    result = sources[0]
    for axis, offset in enumerate(operation.attribute("offset"), start=1):
        result = _cut(writer, result, axis + 1, (offset, operation.input_shapes[0][axis], 1))
    return result


def _truncate(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    return _cut(writer, sources[0], 1, (0, operation.output_shape[0], 1))


def _slice(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    axis, start, size, step = (int(operation.attribute(name)) for name in ("axis", "start", "size", "step"))
    return _cut(writer, sources[0], axis + 1, (start, start + (size - 1) * step + 1, step))


def _pad(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    top, bottom, left, right = operation.attribute("pads")
    return writer.node("Pad", *sources, writer.constant([0, 0, top, left, 0, 0, bottom, right], "int64"))


def _resize(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    sizes = writer.constant(operation.output_shape[1:], "int64")
    return writer.node("Resize", *sources, "", "", sizes, axes=[2, 3], mode="linear")


def _mean(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    axes = writer.constant([axis + 1 for axis in operation.attribute("axes")], "int64")
    return writer.node("ReduceMean", *sources, axes, keepdims=int(operation.attribute("keepdim", False)))


def _reshape(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    return writer.node("Reshape", *sources, writer.constant([-1, *operation.output_shape], "int64"))


def _transpose(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    return writer.node("Transpose", *sources, perm=[0, *(axis + 1 for axis in operation.attribute("axes"))])


def _affine(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    kind, neutral = ("Mul", 1.0) if operation.kind == "scale" else ("Add", 0.01)
    shape = operation.attribute("parameter_shape", ())
    values = numpy.full(shape, operation.attribute("value", neutral), dtype="float32")
    return writer.node(kind, *sources, writer.constant(values))


def _softmax(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    axis = int(operation.attribute("axis", -1))
    return writer.node("Softmax", *sources, axis=axis + 1 if axis >= 0 else axis)


def _leaky_relu(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    return writer.node("LeakyRelu", *sources, alpha=float(operation.attribute("slope", 0.01)))


def _relu6(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    return writer.node("Clip", *sources, writer.constant(0.0), writer.constant(6.0))


def _silu(writer: FileWriter, operation: Operation, sources: list[str]) -> str:
    return writer.node("Mul", *sources, writer.node("Sigmoid", *sources))


_SIMPLE = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "gelu": "Gelu", "hard_sigmoid": "HardSigmoid",
    "hard_swish": "HardSwish", "sub": "Sub", "mul": "Mul", "div": "Div", "matmul": "MatMul",
}  # fmt: skip
_WRITERS: dict[str, Callable[[FileWriter, Operation, list[str]], str]] = {
    "conv": _conv, "batch_norm": _batch_norm, "layer_norm": _layer_norm, "linear": _linear, "max_pool": write_pool,
    "avg_pool": write_pool, "add": _add, "concat": _concat, "zero": _zero, "crop": _crop, "truncate": _truncate,
    "slice": _slice, "pad": _pad, "resize": _resize, "mean": _mean, "reshape": _reshape, "flatten": _reshape,
    "transpose": _transpose,
    "scale": _affine, "offset": _affine, "softmax": _softmax, "leaky_relu": _leaky_relu, "relu6": _relu6,
    "silu": _silu,
}  # fmt: skip
WRITABLE = frozenset(_SIMPLE) | frozenset(_WRITERS)
