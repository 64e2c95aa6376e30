"""How a graph connects its layers: paths by every set of kinds of layers, and which kind feeds which.

The whole-graph form of the features of GRAF (Kadlecova et al., 2024, arXiv 2404.16551), beside ``graph_features``. With
several hundred labels they add .005 Kendall tau to trees on NAS-Bench-201; with fewer than 100 they add nothing.
"""

from itertools import combinations

import numpy

from nasengine.graph.computation_graph import Operation
from predictors.graph_batch import GraphBatch
from predictors.graph_features import LENGTHS, path_lengths

LAYERS = ("wide", "pointwise", "pool")
SETS = tuple(found for size in (1, 2, 3) for found in combinations(LAYERS, size))
PARTNERS = (*LAYERS, "junction", "other")
PASSED = frozenset((
    "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hard_sigmoid", "hard_swish", "identity",
    "batch_norm", "layer_norm", "dropout",
))  # fmt: skip
"""Kinds that are looked through: what feeds them feeds the layers after them."""
NAMES = (
    *(f"longest path, {' or '.join(found)}" for found in SETS),
    *(f"shortest path, {' or '.join(found)}" for found in SETS),
    *(f"edges from {source} to {target}" for source in PARTNERS for target in PARTNERS),
    "squared inputs of junctions",
)
"""Names of the features, in order."""


def wiring_features(batch: GraphBatch) -> numpy.ndarray:
    """One row of ``NAMES`` for each graph, float64, (num_graphs, len(NAMES))."""
    kinds = numpy.array([[LENGTHS[name](operation) for name in LAYERS] for operation in batch.operations])
    sets = numpy.array([[float(name in found) for found in SETS] for name in LAYERS])
    longest, shortest, _ = path_lengths(batch, (kinds @ sets)[batch.operation_index])
    sources, targets = _layer_edges(batch)
    partner = numpy.array([_partner(found) for found in batch.operations])[batch.operation_index]
    width = len(PARTNERS)
    pair = (batch.graph_index[targets] * width + partner[sources]) * width + partner[targets]
    edges = numpy.bincount(pair, minlength=len(batch) * width**2).reshape(len(batch), -1)
    inputs = numpy.bincount(targets, minlength=batch.num_nodes) * (partner == PARTNERS.index("junction"))
    junctions = numpy.bincount(batch.graph_index, inputs.astype(float) ** 2, len(batch))
    return numpy.hstack([longest, shortest, edges, junctions[:, None]])


def _layer_edges(batch: GraphBatch) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Edges between nodes that are not looked through, (num_edges,) each."""
    passed = numpy.array([found.kind in PASSED for found in batch.operations])[batch.operation_index]
    origin = numpy.arange(batch.num_nodes)
    into = passed[batch.targets]
    origin[batch.targets[into]] = batch.sources[into]
    while not numpy.array_equal(origin, further := origin[origin]):
        origin = further
    kept = ~into
    return origin[batch.sources[kept]], batch.targets[kept]


def _partner(operation: Operation) -> int:
    for place, name in enumerate(LAYERS):
        if LENGTHS[name](operation):
            return place
    return PARTNERS.index("junction" if operation.kind in ("add", "concat") else "other")
