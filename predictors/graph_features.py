"""What a predictor is told about a whole graph: costs, counts of operations, and its paths.

Counts and path lengths of chosen kinds of operations in cells predict accuracy about as well as learned embeddings
(Kadlecova et al., 2024, arXiv 2404.16551, "GRAF"). Here they are taken of whole computation graphs, so that networks of
all spaces have the same features.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy

from nasengine.graph.computation_graph import Operation
from nasengine.graph.cost import operation_macs, operation_parameters
from predictors.graph_batch import GraphBatch
from predictors.operation_features import KIND_NAMES, kind_indices

_ACTIVATIONS = frozenset(
    ("relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hard_sigmoid", "hard_swish")
)
_WEIGHTED = frozenset(("conv", "linear", "matmul"))
_POOLS = frozenset(("max_pool", "avg_pool"))


def _is_wide(operation: Operation) -> bool:
    return operation.kind == "conv" and max(operation.kernel) > 1


def _reach(operation: Operation) -> float:
    """Pixels by which an operation widens the receptive field, as a share of the image it works on."""
    if operation.kind not in ("conv", *_POOLS):
        return 0.0
    sizes = operation.input_shapes[0][1:]
    steps = [(size - 1) * dilation for size, dilation in zip(operation.kernel, operation.dilation, strict=True)]
    return max(step / size for step, size in zip(steps, sizes, strict=True))


LENGTHS: dict[str, Callable[[Operation], float]] = {
    "weighted": lambda operation: float(operation.kind in _WEIGHTED),
    "wide": lambda operation: float(_is_wide(operation)),
    "pointwise": lambda operation: float(operation.kind == "conv" and not _is_wide(operation)),
    "pool": lambda operation: float(operation.kind in _POOLS),
    "activation": lambda operation: float(operation.kind in _ACTIVATIONS),
    "reach": _reach,
}
"""What a node adds to the length of a path, in several senses of length."""
NAMES = (
    "log macs", "log parameters", "log nodes", "log values", "log paths",
    *(f"longest path, {name}" for name in LENGTHS),
    *(f"shortest path, {name}" for name in LENGTHS),
    *(f"share of {name}" for name in LENGTHS),
    *(f"log number of {kind}" for kind in KIND_NAMES),
)  # fmt: skip
"""Names of the features, in order."""


def graph_features(batch: GraphBatch) -> numpy.ndarray:
    """One row of ``NAMES`` for each graph, float64, (num_graphs, len(NAMES))."""
    lengths = numpy.array([[length(operation) for length in LENGTHS.values()] for operation in batch.operations])
    costs = numpy.array(
        [
            [operation_macs(found), operation_parameters(found), 1.0, math.prod(found.output_shape)]
            for found in batch.operations
        ],
        dtype=float,
    )
    kinds = numpy.zeros((len(batch.operations), len(KIND_NAMES)))
    kinds[numpy.arange(len(kinds)), kind_indices(batch.operations)] = 1.0
    table = numpy.hstack([costs, lengths, kinds])
    sums = batch.num_operations_by_graph() @ table
    totals, adds, counts = numpy.split(sums, [costs.shape[1], costs.shape[1] + lengths.shape[1]], axis=1)
    longest, shortest, paths = path_lengths(batch, lengths[batch.operation_index])
    return numpy.hstack([
        numpy.log(1 + totals), paths[:, None], longest, shortest, adds / totals[:, 2:3], numpy.log1p(counts),
    ])  # fmt: skip


def path_lengths(batch: GraphBatch, lengths: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Lengths of the longest and shortest paths to each graph's output, and how many paths there are.

    All graphs are walked side by side, position by position: what is done in Python depends on the longest graph only.

    Args:
        batch: the graphs.
        lengths: of each node, in several senses, (num_nodes, num_lengths).

    Returns:
        Longest and shortest, (num_graphs, num_lengths) each, and the natural logarithm of the number of paths,
        (num_graphs,).
    """
    longest, shortest = lengths.copy(), lengths.copy()
    log_paths = numpy.zeros(batch.num_nodes)
    position = numpy.arange(batch.num_nodes) - batch.starts[batch.graph_index]
    of_edge = position[batch.targets]
    order = numpy.argsort(of_edge, kind="stable")
    bounds = numpy.searchsorted(of_edge[order], numpy.arange(int(position.max(initial=0)) + 2))
    for begin, end in pairwise(bounds):
        if begin == end:
            continue
        sources, targets = batch.sources[order[begin:end]], batch.targets[order[begin:end]]
        first = numpy.flatnonzero(numpy.diff(targets, prepend=-1))  # edges are sorted by target
        nodes = targets[first]
        longest[nodes] += numpy.maximum.reduceat(longest[sources], first, axis=0)
        shortest[nodes] += numpy.minimum.reduceat(shortest[sources], first, axis=0)
        log_paths[nodes] = numpy.logaddexp.reduceat(log_paths[sources], first)
    return longest[batch.outputs], shortest[batch.outputs], log_paths[batch.outputs]
