"""Small ONNX files, written node by node with random weights: whole networks, and single units of the runtime.

torch's exporter takes seconds for a network; these files take milliseconds, and onnxruntime makes the same of them.
"""

import tempfile
from pathlib import Path

import onnx
import onnxruntime

from export.operator_nodes import (
    BLOCK_DOMAIN,
    WRITABLE,
    FileWriter,
    window_settings,
    write_operation,
    write_pool,
)
from export.runtime_units import RuntimeUnit, as_written
from nasengine.graph import ComputationGraph, Operation, Shape
from nasengine.graph.cost import operation_weight_shape

_ACTIVATIONS = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "relu6": "Clip", "leaky_relu": "LeakyRelu",
    "hard_sigmoid": "HardSigmoid",
    "hard_swish": "HardSwish",
}  # fmt: skip
_ACTIVATION_LIMITS = {"relu6": [0.0, 6.0], "leaky_relu": [0.01], "hard_sigmoid": [0.2, 0.5]}


def write_network(graph: ComputationGraph, path: Path, seed: int = 0) -> None:
    """A whole network with random weights and dynamic batch.

    Raises:
        ExportError: an operation of a kind that cannot be written, or the file cannot be.
    """
    writer, graph = FileWriter(seed), as_written(graph)
    names: dict[int, str] = {}
    for node, operation in enumerate(graph.operations):
        sources = [names[source] for source in graph.inputs[node]]
        names[node] = f"input{node}" if operation.kind == "input" else write_operation(writer, operation, sources)
        writer.shapes[names[node]] = operation.output_shape
    inputs = {names[node]: graph.operations[node].output_shape for node in graph.input_indices}
    writer.save(inputs, {names[node]: graph.operations[node].output_shape for node in graph.outputs}, path)


def write_unit(unit: RuntimeUnit, path: Path, block: int, seed: int = 0) -> None:
    """A single unit of the runtime; a blocked one in the runtime's own operators.

    Args:
        unit: what to write.
        path: of the file.
        block: channels in a block of the runtime's layout.
        seed: of weights.

    Raises:
        ExportError: an operation of a kind that cannot be written, or the file cannot be.
    """
    writer, operation = FileWriter(seed), unit.operation
    shapes, output = input_shapes(unit, block), operation.output_shape
    names = [f"input{slot}" for slot in range(len(shapes))]
    if unit.is_blocked:
        result = _write_blocked(writer, unit, names, block)
        output = output if operation.kind == "reorder_output" else _rounded(output, block)
    else:
        result = write_operation(writer, operation, names)
        if unit.activation:
            result = write_operation(writer, Operation(unit.activation, (output,), output), [result])
    writer.save(dict(zip(names, shapes, strict=True)), {result: output}, path)


def input_shapes(unit: RuntimeUnit, block: int) -> list[Shape]:
    """Shapes of what the file of a unit reads, without the batch; channels are filled up to whole blocks."""
    operation = unit.operation
    shapes = list(operation.input_shapes) or [(1,)]  # a constant reads the size of the batch
    if unit.is_blocked and operation.kind != "reorder_input" and not _takes_plain(operation, block):
        shapes = [_rounded(shape, block) for shape in shapes]
    return shapes + [_rounded(operation.output_shape, block)] * unit.adds_another


def is_writable(unit: RuntimeUnit) -> bool:
    """Whether there is a file for units of its kind."""
    return unit.operation.kind in WRITABLE or unit.operation.kind in ("reorder_input", "reorder_output")


def block_of_runtime() -> int:
    """Channels in a block of the layout that onnxruntime prefers on this machine; 0 where it has none.

    It shows in the graph that onnxruntime makes of a convolution with one output.
    """
    image = Operation("input", (), (1, 8, 8))
    conv = Operation("conv", ((1, 8, 8),), (1, 6, 6), kernel=(3, 3))
    with tempfile.TemporaryDirectory(prefix="nasengine-probe-") as folder:
        path, optimised = Path(folder) / "probe.onnx", Path(folder) / "optimised.onnx"
        write_network(ComputationGraph((image, conv), ((), (0,)), (1,), ("image", "conv")), path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # it warns that such a file is for this machine alone
        options.optimized_model_filepath = str(optimised)
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        model = onnx.load(optimised)
    if all(node.domain != BLOCK_DOMAIN for node in model.graph.node):
        return 0
    return max(weight.dims[0] for weight in model.graph.initializer)


def write_empty(path: Path) -> None:
    """A network that does nothing, as far as there is one: what a call costs by itself."""
    writer = FileWriter(0)
    writer.save({"input0": (1,)}, {writer.node("Relu", "input0"): (1,)}, path)


def _rounded(shape: Shape, block: int) -> Shape:
    return (-(-shape[0] // block) * block, *shape[1:]) if block else shape


def _takes_plain(operation: Operation, block: int) -> bool:
    return operation.kind == "conv" and operation.groups == 1 and operation.input_shapes[0][0] < block


def _write_blocked(writer: FileWriter, unit: RuntimeUnit, names: list[str], block: int) -> str:
    operation = unit.operation
    if operation.kind == "reorder_input":
        return writer.node("ReorderInput", *names, domain=BLOCK_DOMAIN)
    if operation.kind == "reorder_output":
        return writer.node("ReorderOutput", *names, domain=BLOCK_DOMAIN, channels=operation.output_shape[0])
    if operation.kind in ("max_pool", "avg_pool"):
        return write_pool(writer, operation, names, BLOCK_DOMAIN)
    if operation.kind != "conv":
        return write_operation(writer, operation, names)
    outputs, inputs, *kernel = operation_weight_shape(operation)
    outputs = -(-outputs // block) * block
    if operation.groups == 1 and inputs >= block:
        inputs = -(-inputs // block) * block
    settings = window_settings(operation) | {"group": outputs if unit.kind == "depthwise_conv" else operation.groups}
    if unit.activation:
        settings["activation"] = _ACTIVATIONS[unit.activation]
        if unit.activation in _ACTIVATION_LIMITS:
            settings["activation_params"] = _ACTIVATION_LIMITS[unit.activation]
    weight = writer.random(outputs, inputs, *kernel, fan_in=inputs * kernel[0] * kernel[1])
    return writer.node("Conv", names[0], weight, writer.random(outputs), *names[1:], domain=BLOCK_DOMAIN, **settings)
