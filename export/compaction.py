"""Makes a quantised ONNX graph as small as its numbers: same values, same operators, fewer bytes around them.

Quantising adds two nodes, a scale and a zero point to every tensor, with names that repeat those of the tensor: for
a network of 127,000 parameters (DARTS) 115 KB of 270 KB. Names become short, equal constants are stored once, zero
points of 0 and attributes that say what holds anyway are left out, and so are shapes, which runtimes infer.
"""

import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy
import onnx
from onnx import numpy_helper

MOVES = frozenset(("Flatten", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"))
DIGITS = string.ascii_letters + string.digits
_ONES, _ZEROS, _NOT_SET = frozenset((1,)), frozenset((0,)), frozenset((b"NOTSET",))
_USUAL: Mapping[str, frozenset[object]] = {
    "group": _ONES,
    "strides": _ONES,
    "dilations": _ONES,
    "pads": _ZEROS,
    "auto_pad": _NOT_SET,
    "ceil_mode": _ZEROS,
    "storage_order": _ZEROS,
    "count_include_pad": _ZEROS,
}
"""Attributes of convolutions and pools that need not be there where all their values are this."""


def compact(model: onnx.ModelProto, *, explicit: bool = False) -> None:
    """Shrink a model in place; one whose nodes hold graphs of their own is left as it is.

    Args:
        model: with nodes that quantise and dequantise.
        explicit: keep those that say no more than that values keep their scale where they are only moved; onnxruntime
            and other runtimes that merge nodes know.
    """
    if any(_holds_graph(node) for node in model.graph.node):
        return
    if not explicit:
        _drop_relus(model.graph)
        _drop_repeated_pairs(model.graph)
    _let_outputs_be_floats(model.graph)
    for node in model.graph.node:
        _drop_usual_attributes(node)
    _drop_zero_points(model.graph)
    _merge_scales(model.graph)
    _merge_constants(model.graph)
    _shorten_names(model.graph)
    _drop_domains(model)
    del model.graph.value_info[:]


def _holds_graph(node: onnx.NodeProto) -> bool:
    return any(entry.HasField("g") or entry.graphs for entry in node.attribute)


def _drop_relus(graph: onnx.GraphProto) -> None:
    """Those before a quantisation whose smallest value is zero, which cuts off the same values.

    What nothing but such a ReLU read need not be quantised before it either: one rounding fewer.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for relu in [node for node in graph.node if node.op_type == "Relu"]:
        readers = _readers(graph, relu.output[0])
        if readers and all(_begins_at_zero(node, constants) for node in readers):
            graph.node.remove(relu)
            source = _without_pair(graph, relu.input[0])
            for node in readers:
                node.input[0] = source


def _without_pair(graph: onnx.GraphProto, name: str) -> str:
    """The value before a pair that quantises and dequantises it and that nothing reads any more; the pair goes."""
    pair: list[onnx.NodeProto] = []
    for kind in ("DequantizeLinear", "QuantizeLinear"):
        made = next((node for node in graph.node if name in node.output), None)
        if made is None or made.op_type != kind or _readers(graph, name) != pair[-1:]:
            return pair[0].output[0] if pair else name
        pair.append(made)
        name = made.input[0]
    for node in pair:
        graph.node.remove(node)
    return name


def _begins_at_zero(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    if node.op_type != "QuantizeLinear" or len(node.input) < 3 or node.input[2] not in constants:
        return False
    zero_point = numpy_helper.to_array(constants[node.input[2]])
    return bool((zero_point == numpy.iinfo(zero_point.dtype).min).all())


def _drop_repeated_pairs(graph: onnx.GraphProto) -> None:
    """Pairs behind operators that only move values, which are quantised already, for one reader.

    onnxruntime puts them back; where there are several readers it does not.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    for moved in [node for node in graph.node if node.op_type in MOVES]:
        before = made_by.get(moved.input[0])
        there = _only_reader(graph, moved.output[0], "QuantizeLinear")
        back = None if there is None else _only_reader(graph, there.output[0], "DequantizeLinear")
        if before is None or before.op_type != "DequantizeLinear" or there is None or back is None:
            continue
        if len(_readers(graph, back.output[0])) != 1:
            continue
        if list(before.input[1:]) == list(there.input[1:]) == list(back.input[1:]):
            moved.output[0] = back.output[0]
            made_by[moved.output[0]] = moved
            graph.node.remove(there)
            graph.node.remove(back)


def _only_reader(graph: onnx.GraphProto, name: str, kind: str) -> onnx.NodeProto | None:
    readers = _readers(graph, name)
    is_output = any(entry.name == name for entry in graph.output)
    return readers[0] if len(readers) == 1 and readers[0].op_type == kind and not is_output else None


def _readers(graph: onnx.GraphProto, name: str) -> list[onnx.NodeProto]:
    return [node for node in graph.node if name in node.input]


def _let_outputs_be_floats(graph: onnx.GraphProto) -> None:
    """Logits are not rounded to eight bits: 256 levels for all classes would tie some."""
    made_by = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        back = made_by.get(output.name)
        there = made_by.get(back.input[0]) if back is not None and back.op_type == "DequantizeLinear" else None
        if there is None or there.op_type != "QuantizeLinear" or _readers(graph, output.name):
            continue
        exact = made_by.get(there.input[0])
        if exact is None or _readers(graph, there.output[0]) != [back] or _readers(graph, there.input[0]) != [there]:
            continue
        exact.output[list(exact.output).index(there.input[0])] = output.name
        graph.node.remove(back)
        graph.node.remove(there)


def _drop_usual_attributes(node: onnx.NodeProto) -> None:
    node.ClearField("name")
    node.ClearField("doc_string")
    node.ClearField("metadata_props")
    for entry in list(node.attribute):
        if node.op_type in ("Conv", "MaxPool", "AveragePool"):
            value = onnx.helper.get_attribute_value(entry)
            is_usual = set(value if entry.ints else [value]) <= _USUAL.get(entry.name, frozenset())
            is_known = node.op_type == "Conv" and entry.name == "kernel_shape"  # from the weights
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            is_usual, is_known = entry.name == "axis" and entry.i == 1, False
        else:
            continue
        if is_usual or is_known:
            node.attribute.remove(entry)


def _drop_zero_points(graph: onnx.GraphProto) -> None:
    """Of weights, where they are 0 by default; those of activations say what onnxruntime looks for to merge nodes."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and len(node.input) == 3 and node.input[0] in constants:
            zero_point = constants.get(node.input[2])
            if zero_point is not None and not numpy_helper.to_array(zero_point).any():
                del node.input[2]


def _merge_scales(graph: onnx.GraphProto) -> None:
    """Channels that all have one scale need it once."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or len(node.input) != 2 or node.input[1] not in constants:
            continue
        scales = numpy_helper.to_array(constants[node.input[1]])
        if scales.ndim and (scales == scales[0]).all():
            name = f"{node.input[1]}/all"
            graph.initializer.append(numpy_helper.from_array(scales[0], name))
            node.input[1] = name
            node.ClearField("attribute")


def _merge_constants(graph: onnx.GraphProto) -> None:
    """Keep one of equal constants, and none that nothing reads."""
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    kept, names = [], {}
    for tensor in graph.initializer:
        if tensor.name not in used:
            continue
        key = (tensor.data_type, tuple(tensor.dims), numpy_helper.to_array(tensor).tobytes())
        if key not in first:
            first[key] = tensor.name
            kept.append(tensor)
        names[tensor.name] = first[key]
    _rename(graph, lambda name: names.get(name, name))
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _shorten_names(graph: onnx.GraphProto) -> None:
    """Tensors are called a, b, and so on; inputs and outputs of the network keep their names."""
    fixed = {entry.name for entry in (*graph.input, *graph.output)} | {""}
    free = (name for name in _short_names() if name not in fixed)
    uses = Counter(name for node in graph.node for name in (*node.input, *node.output) if name not in fixed)
    short = {name: next(free) for name, _ in uses.most_common()}  # what is used most gets the shortest
    _rename(graph, lambda name: short.get(name, name))
    for tensor in graph.initializer:
        tensor.name = short.get(tensor.name, tensor.name)


def _rename(graph: onnx.GraphProto, rename: Callable[[str], str]) -> None:
    for node in graph.node:
        node.input[:] = [rename(name) for name in node.input]
        node.output[:] = [rename(name) for name in node.output]


def _short_names() -> Iterator[str]:
    """All words over letters and digits, short ones first.

    >>> from itertools import islice
    >>> list(islice(_short_names(), 60, 64))
    ['8', '9', 'aa', 'ba']
    """
    yield from DIGITS
    for word in _short_names():
        yield from (digit + word for digit in DIGITS)


def _drop_domains(model: onnx.ModelProto) -> None:
    """Operator sets that no node is of; onnxruntime's optimiser names all that it knows."""
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
