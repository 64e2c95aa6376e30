"""Evens out the channels between a depthwise convolution and the one that reads it, before they are quantised.

Nagel et al., 2019, arXiv 1906.04721, section 4.1: what one layer multiplies a channel by, the next can divide it by.
They look for weights that one scale suits; here each channel of a depthwise convolution gets weights of at most 1. So
all depthwise convolutions of a network have one and the same scale, with nothing lost since only whole channels are
scaled, and the channels between the two layers, which share a scale, become more alike.
"""

from collections import Counter

import numpy
import onnx
from onnx import numpy_helper


def even_out_channels(graph: onnx.GraphProto) -> int:
    """Rescale pairs of convolutions in place; what the graph computes stays the same but for rounding.

    Returns:
        How many pairs there were.
    """
    stored = {tensor.name: tensor for tensor in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(output.name for output in graph.output)
    readers = {name: node for node in graph.node for name in node.input}
    found = 0
    for first in graph.node:
        second = readers.get(first.output[0]) if first.output else None
        if second is None or second.op_type != "Conv" or first.op_type != "Conv" or uses[first.output[0]] != 1:
            continue
        names = [*first.input[1:], second.input[1]]
        if second.input[0] != first.output[0] or any(uses[name] != 1 or name not in stored for name in names):
            continue
        if _is_depthwise(first, stored) and _groups(second) == 1:
            _scale(first, second, stored)
            found += 1
    return found


def _groups(node: onnx.NodeProto) -> int:
    return next((entry.i for entry in node.attribute if entry.name == "group"), 1)


def _is_depthwise(node: onnx.NodeProto, stored: dict[str, onnx.TensorProto]) -> bool:
    outputs, inputs_a_group = stored[node.input[1]].dims[:2]
    return bool(inputs_a_group == 1 and _groups(node) == outputs)


def _scale(first: onnx.NodeProto, second: onnx.NodeProto, stored: dict[str, onnx.TensorProto]) -> None:
    weight = numpy_helper.to_array(stored[first.input[1]])
    largest = numpy.abs(weight).reshape(len(weight), -1).max(1)
    largest = numpy.where(largest > 0, largest, 1.0).astype(weight.dtype)
    for name in first.input[1:]:
        value = numpy_helper.to_array(stored[name])
        _store(stored[name], value / largest.reshape(-1, *(1 for _ in value.shape[1:])))
    after = numpy_helper.to_array(stored[second.input[1]])
    _store(stored[second.input[1]], after * largest.reshape(1, -1, *(1 for _ in after.shape[2:])))


def _store(tensor: onnx.TensorProto, value: numpy.ndarray) -> None:
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
