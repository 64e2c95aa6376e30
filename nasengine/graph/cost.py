"""What a network costs, read off its graph: multiply-accumulates, parameters and peak activation memory."""

import math
from dataclasses import dataclass
from functools import lru_cache

from nasengine.graph.computation_graph import ComputationGraph, Operation

BYTES_PER_VALUE = 4  # float32


@dataclass(frozen=True, slots=True)
class GraphCost:
    """Costs of one forward pass of one image.

    Args:
        macs: multiply-accumulates of convolutions, linear layers and matrix products (biases are not counted,
            and operations of kind ``other`` have none).
        num_parameters: learned values, equal to torch's count of the built network.
        peak_activation_bytes: largest sum of live float32 activations when nodes run in graph order and each value is
            freed after its last use; the node's own output counts, in-place reuse does not.
    """

    macs: int
    num_parameters: int
    peak_activation_bytes: int


@lru_cache(maxsize=65536)
def operation_macs(operation: Operation) -> int:
    """Multiply-accumulates of one operation on one image."""
    if operation.kind == "conv":
        fan_in = operation.input_shapes[0][0] // operation.groups * math.prod(operation.kernel)
        return fan_in * math.prod(operation.output_shape)
    if operation.kind in ("linear", "matmul"):
        return operation.input_shapes[0][-1] * math.prod(operation.output_shape)
    return 0


@lru_cache(maxsize=65536)
def operation_parameters(operation: Operation) -> int:
    """Learned values of one operation."""
    if operation.kind == "conv":
        weights = operation_weight_shape(operation)
        return math.prod(weights) + (weights[0] if operation.bias else 0)
    if operation.kind == "linear":
        features = operation.output_shape[-1]
        return features * (operation.input_shapes[0][-1] + operation.bias)
    if operation.kind == "batch_norm":
        return 2 * operation.output_shape[0] if operation.attribute("affine", True) else 0
    if operation.kind == "layer_norm":
        size = math.prod(operation.attribute("shape_normalized") or operation.output_shape[-1:])
        return 2 * size if operation.attribute("affine", True) else 0
    if operation.kind in ("scale", "offset"):
        return math.prod(operation.attribute("parameter_shape", ())) if operation.attribute("learned") else 0
    if operation.kind == "other":
        return int(operation.attribute("num_parameters", 0))
    return 0


def operation_weight_shape(operation: Operation) -> tuple[int, int, int, int]:
    """Shape (out, in / groups, height, width) of a convolution's weight."""
    return operation.output_shape[0], operation.input_shapes[0][0] // operation.groups, *operation.kernel


def cost(graph: ComputationGraph) -> GraphCost:
    """Costs of a graph; see GraphCost for what is counted."""
    return GraphCost(
        macs=sum(map(operation_macs, graph.operations)),
        num_parameters=sum(map(operation_parameters, graph.operations)),
        peak_activation_bytes=BYTES_PER_VALUE * _peak_values(graph),
    )


def tabled_flops(graph: ComputationGraph) -> int:
    """Operations as the ``flops`` column of NAS-Bench-Suite-Zero has them (Krishnakumar et al., 2022, 2210.03230).

    That table adds to the multiply-accumulates two operations a value for a batch norm, one for a ReLU, and the size of
    the window for every value that comes out of a pool; global pooling over H x W counts as a window of (H+1) x (W+1).
    The rules were read off the table and reproduce all of its 9,445 rows.
    """
    return sum(map(operation_macs, graph.operations)) + sum(map(_elementwise, graph.operations))


@lru_cache(maxsize=65536)
def _elementwise(operation: Operation) -> int:
    values = math.prod(operation.output_shape)
    if operation.kind == "batch_norm":
        return 2 * values
    if operation.kind == "relu":
        return values
    if operation.kind in ("avg_pool", "max_pool"):
        return math.prod(operation.kernel) * values
    if operation.kind == "mean":
        return values * math.prod(size + 1 for size in operation.input_shapes[0][1:])
    return 0


def _peak_values(graph: ComputationGraph) -> int:
    sizes = [math.prod(operation.output_shape) for operation in graph.operations]
    freed_after: list[list[int]] = [[] for _ in sizes]
    last_use = list(range(len(sizes)))
    for target, sources in enumerate(graph.inputs):
        for source in sources:
            last_use[source] = target
    for node, last in enumerate(last_use):
        if node not in graph.outputs:
            freed_after[last].append(node)
    live = peak = 0
    for node, size in enumerate(sizes):
        live += size
        peak = max(peak, live)
        live -= sum(sizes[dead] for dead in freed_after[node])
    return peak
