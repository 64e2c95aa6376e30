"""Nodes through which the image reaches the output: paths through an operation ``zero`` carry nothing."""

from itertools import pairwise

import numpy

from predictors.graph_batch import GraphBatch


def live_part(batch: GraphBatch) -> GraphBatch:
    """The same graphs without nodes that see nothing of the input, and without those that the output does not see.

    A graph whose output sees nothing keeps its output alone.
    """
    _, seeing, seen = reach(batch)
    kept = seeing & seen
    kept[batch.outputs] = True
    return _restricted(batch, kept)


def kind_mask(batch: GraphBatch, kinds: frozenset[str]) -> numpy.ndarray:
    """Which nodes are of some kinds, (num_nodes,)."""
    return numpy.array([found.kind in kinds for found in batch.operations])[batch.operation_index]


def reach(batch: GraphBatch) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Nodes that are ``zero``, those that see the input, and those that the output sees."""
    zero, seeing = kind_mask(batch, frozenset(("zero",))), kind_mask(batch, frozenset(("input",)))
    seen = numpy.zeros(batch.num_nodes, bool)
    seen[batch.outputs] = True
    order = steps(batch)
    for edges in order:
        seeing[batch.targets[edges[seeing[batch.sources[edges]]]]] = True
        seeing[zero] = False
    for edges in reversed(order):
        seen[batch.sources[edges[(seen & ~zero)[batch.targets[edges]]]]] = True
    return zero, seeing, seen


def steps(batch: GraphBatch) -> list[numpy.ndarray]:
    """Edges by the position of their target in its graph, in order."""
    position = (numpy.arange(batch.num_nodes) - batch.starts[batch.graph_index])[batch.targets]
    order = numpy.argsort(position, kind="stable")
    bounds = numpy.searchsorted(position[order], numpy.arange(int(position.max(initial=0)) + 2))
    return [order[begin:end] for begin, end in pairwise(bounds) if begin < end]


def _restricted(batch: GraphBatch, kept: numpy.ndarray) -> GraphBatch:
    place = numpy.concatenate(([0], kept.cumsum()))
    edges = kept[batch.sources] & kept[batch.targets]
    return GraphBatch(
        batch.operations,
        batch.operation_index[kept],
        place[batch.starts],
        place[batch.sources[edges]],
        place[batch.targets[edges]],
        place[batch.outputs],
    )
