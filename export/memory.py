"""Working memory that an ONNX graph needs: the activations that are alive at the same time."""

import math
from pathlib import Path

import onnx

from nasengine.errors import ExportError, TracingError
from nasengine.targets.target import DataType
from nasengine.tracing.onnx_file import load_onnx, one_sentence

BYTES = {"float32": 4, "float16": 2, "int8": 1}
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)
_FAULTS = (onnx.shape_inference.InferenceError, ValueError, TypeError, RuntimeError)


def peak_bytes(path: Path, data_type: DataType = "float32") -> int:
    """Largest sum of live values of one image when nodes run in the order of the file.

    A value is alive from the node that computes it (the input: from the first node that reads it) to the last that
    reads it, outputs to the end; a node's inputs and outputs are alive together, nothing is computed in place. Weights
    do not count, since devices read them where they are stored. ``nasengine.graph.cost`` counts the same way on graphs.

    Args:
        path: a file with floating-point values; of a quantised network the one that it was made from.
        data_type: in which the device keeps activations; whole numbers count as the file has them.

    Raises:
        ExportError: a file that cannot be read, or a value whose size the file does not fix.
    """
    try:
        model = load_onnx(path)
        for entry in (*model.graph.input, *model.graph.output):
            _fix_batch(entry)
        del model.graph.value_info[:]
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except TracingError as fault:
        raise ExportError(one_sentence(str(fault))) from fault
    except _FAULTS as fault:
        reason = one_sentence(next(iter(str(fault).strip().splitlines()), type(fault).__name__))
        raise ExportError(f"onnx file {path}: expected a graph whose shapes are known, got: {reason}") from fault
    return _peak(graph, _sizes(graph, BYTES[data_type], path))


def _fix_batch(entry: onnx.ValueInfoProto) -> None:
    """One image; an output follows from the input."""
    sizes = entry.type.tensor_type.shape.dim
    if sizes and sizes[0].dim_param:
        sizes[0].dim_value = 1


def _sizes(graph: onnx.GraphProto, bytes_per_value: int, path: Path) -> dict[str, int]:
    """Bytes of every value that is computed or comes in; stored ones have none."""
    stored = {tensor.name for tensor in graph.initializer}
    found = {}
    for entry in (*graph.input, *graph.value_info, *graph.output):
        kind, shape = entry.type.tensor_type, entry.type.tensor_type.shape
        if entry.name in stored or not kind.HasField("shape") or any(size.dim_value < 1 for size in shape.dim):
            continue
        known = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).itemsize
        width = bytes_per_value if kind.elem_type in _FLOATS else known
        found[entry.name] = width * math.prod(size.dim_value for size in shape.dim)
    missing = [name for node in graph.node for name in node.output if name and name not in found]
    if missing:
        raise ExportError(f"onnx file {path}: expected a fixed size of every value, got none of {missing[0][:80]!r}")
    return found


def _peak(graph: onnx.GraphProto, sizes: dict[str, int]) -> int:
    last = {name: step for step, node in enumerate(graph.node) for name in (*node.output, *node.input)}
    last |= {entry.name: len(graph.node) for entry in graph.output}
    begin = {name: step for step, node in reversed(list(enumerate(graph.node))) for name in node.input}
    begin |= {name: step for step, node in enumerate(graph.node) for name in node.output}
    change = [0] * (len(graph.node) + 2)
    for name, first in begin.items():
        change[first] += sizes.get(name, 0)
        change[last[name] + 1] -= sizes.get(name, 0)
    live = peak = 0
    for step in change:
        live += step
        peak = max(peak, live)
    return peak
