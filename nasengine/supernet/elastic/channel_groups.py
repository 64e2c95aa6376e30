"""Which channels of a network are one and the same, so that they can only be put into another order together.

A group begins at a convolution or linear layer and goes on through everything that keeps channels apart: batch norms,
activations, pools, depthwise convolutions, and arithmetic of values of the same channels. Convolutions and linear
layers that mix its channels read it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nasengine.graph.computation_graph import ComputationGraph, Operation
from nasengine.graph.shapes import ACTIVATIONS

_KEEPING = frozenset({"batch_norm", "max_pool", "avg_pool", "identity", "resize", "crop", "pad", *ACTIVATIONS})
_ARITHMETIC = frozenset({"add", "sub", "mul", "div"})


@dataclass(frozen=True, slots=True)
class ChannelGroup:
    """Channels that nodes have in common.

    Args:
        producers: nodes with weights whose outputs they are, by index.
        readers: nodes that mix them, in the order of the graph.
    """

    producers: tuple[int, ...]
    readers: tuple[int, ...]


def channel_groups(graph: ComputationGraph) -> list[ChannelGroup]:
    """The groups of a graph whose channels may be put into any order without a change of its outputs."""
    operations = graph.operations
    owner = list(range(len(graph)))
    fixed = {*graph.input_indices, *graph.outputs}

    def root(node: int) -> int:
        while owner[node] != node:
            node = owner[node]
        return node

    for node, (operation, sources) in enumerate(zip(operations, graph.inputs, strict=True)):
        if _keeps_channels(operation):
            for source, shape in zip(sources, operation.input_shapes, strict=True):
                if shape[0] == operation.output_shape[0]:
                    owner[root(source)] = root(node)
                else:
                    fixed |= {node, source}  # one value for all channels, or channels of which some have none
        elif not _mixes(operation):
            fixed |= {node, *sources}
    roots = {root(node) for node in fixed}
    return [
        _group(graph, [node for node in range(len(graph)) if root(node) == found])
        for found in dict.fromkeys(map(root, range(len(graph))))
        if found not in roots
    ]


def elastic_groups(graph: ComputationGraph, corner: ComputationGraph) -> list[ChannelGroup]:
    """The groups of which a smaller network has fewer channels."""
    smaller = dict(zip(corner.names, corner.operations, strict=True))

    def narrows(node: int) -> bool:
        found = smaller.get(graph.names[node])
        return found is not None and found.output_shape[0] < graph.operations[node].output_shape[0]

    return [group for group in channel_groups(graph) if any(map(narrows, group.producers))]


def _group(graph: ComputationGraph, members: Sequence[int]) -> ChannelGroup:
    producers = [node for node in members if graph.operations[node].kind in ("conv", "linear", "batch_norm")]
    readers = [
        node
        for node, sources in enumerate(graph.inputs)
        if _mixes(graph.operations[node]) and any(source in members for source in sources)
    ]
    return ChannelGroup(tuple(producers), tuple(readers))


def _keeps_channels(operation: Operation) -> bool:
    if operation.kind == "softmax":
        return False
    if operation.kind == "mean":
        return 0 not in operation.attribute("axes")
    if operation.kind in ("scale", "offset"):
        return not operation.attribute("learned")
    is_depthwise = operation.kind == "conv" and (
        operation.groups == operation.input_shapes[0][0] == operation.output_shape[0]
    )
    return is_depthwise or operation.kind in _KEEPING or operation.kind in _ARITHMETIC


def _mixes(operation: Operation) -> bool:
    """Whether each output reads all channels, and is a channel of its own."""
    if operation.kind == "linear":
        return len(operation.output_shape) == 1
    return operation.kind == "conv" and operation.groups == 1
