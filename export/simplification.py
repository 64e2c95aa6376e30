"""Makes an exporter's ONNX graph smaller without changing what it computes, and rids it of traces of this machine."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy
import onnx
from onnx import numpy_helper

PREFIX = "network.nodes."  # where our networks keep their layers


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network: no source paths, batch norms in the convolutions before them, the shape of every value.

    torch's exporter itself merges a batch norm that follows one convolution, and removes identities; what it leaves is
    a batch norm behind the two concatenated convolutions of a reduction, and shapes of values that are gone.

    Raises:
        onnx.shape_inference.InferenceError: shapes that contradict one another.
    """
    _clear_traces(model)
    _rename_weights(model.graph)
    fold_batch_norms(model.graph)
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def fold_batch_norms(graph: onnx.GraphProto) -> None:
    """Move batch norms into the convolution before them, or into all that are concatenated before them, in place."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    made_by = {output: node for node in graph.node for output in node.output}
    uses = Counter(slot for node in graph.node for slot in node.input)
    uses.update(output.name for output in graph.output)
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        convolutions = _convolutions_before(norm, made_by, uses)
        names = [name for node in convolutions for name in node.input[1:]]
        if not convolutions or any(uses[name] != 1 for name in names):
            continue
        if any(name not in stored for name in (*names, *norm.input[1:])):
            continue
        _scale(graph, convolutions, stored, *_scale_and_shift(norm, stored))
        last = made_by[norm.input[0]]
        last.output[0] = norm.output[0]
        made_by[norm.output[0]] = last
        graph.node.remove(norm)
    _drop_unused(graph)


def _convolutions_before(
    norm: onnx.NodeProto, made_by: Mapping[str, onnx.NodeProto], uses: Mapping[str, int]
) -> list[onnx.NodeProto]:
    """Those that nothing but the norm reads; none where anything else stands before it."""
    before = made_by.get(norm.input[0])
    if before is None or uses[norm.input[0]] != 1:
        return []
    if before.op_type == "Conv":
        return [before]
    if before.op_type != "Concat" or not any(entry.name == "axis" and entry.i == 1 for entry in before.attribute):
        return []
    found = [made_by[slot] for slot in before.input if slot in made_by and uses[slot] == 1]
    is_complete = len(found) == len(before.input) and all(node.op_type == "Conv" for node in found)
    return found if is_complete else []


def _scale_and_shift(
    norm: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """What a batch norm multiplies each channel by, and adds to it, in double precision."""
    weight, bias, mean, variance = (numpy_helper.to_array(stored[name]).astype("float64") for name in norm.input[1:])
    epsilon = next((entry.f for entry in norm.attribute if entry.name == "epsilon"), 1e-5)
    scale = weight / numpy.sqrt(variance + epsilon)
    return scale, bias - mean * scale


def _scale(
    graph: onnx.GraphProto,
    convolutions: Sequence[onnx.NodeProto],
    stored: dict[str, onnx.TensorProto],
    *channelwise: numpy.ndarray,
) -> None:
    begin = 0
    for node in convolutions:
        weight = numpy_helper.to_array(stored[node.input[1]])
        scale, shift = (values[begin : begin + len(weight)] for values in channelwise)
        begin += len(weight)
        if len(node.input) > 2:
            shift = shift + scale * numpy_helper.to_array(stored[node.input[2]])
        else:
            name = f"{node.input[1].removesuffix('.weight')}.bias"
            stored[name] = graph.initializer.add()
            node.input.append(name)
        scaled = (weight * scale.reshape(-1, 1, 1, 1)).astype(weight.dtype)
        stored[node.input[1]].CopyFrom(numpy_helper.from_array(scaled, node.input[1]))
        stored[node.input[2]].CopyFrom(numpy_helper.from_array(shift.astype(weight.dtype), node.input[2]))


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {slot for node in graph.node for slot in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _rename_weights(graph: onnx.GraphProto) -> None:
    """Weights are named after their layer alone."""
    for tensor in graph.initializer:
        tensor.name = tensor.name.removeprefix(PREFIX)
    for node in graph.node:
        node.input[:] = [slot.removeprefix(PREFIX) for slot in node.input]


def _clear_traces(model: onnx.ModelProto) -> None:
    """Remove source paths and code lines that torch stores with every node."""
    graph = model.graph
    parts = [model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer]
    parts += [part for function in model.functions for part in (function, *function.node)]
    for part in parts:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
