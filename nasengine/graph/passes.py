"""Rewrites of graphs that leave what they compute unchanged."""

from nasengine.graph.computation_graph import ComputationGraph
from nasengine.graph.cost import operation_parameters

_STATEFUL = frozenset({"batch_norm", "conv", "linear", "layer_norm", "scale", "offset", "input"})


def _renumber(graph: ComputationGraph, kept: list[int], place: dict[int, int]) -> ComputationGraph:
    """Keep some nodes; ``place`` maps every node that is still referred to onto an index into ``kept``."""
    return ComputationGraph(
        tuple(graph.operations[node] for node in kept),
        tuple(tuple(place[source] for source in graph.inputs[node]) for node in kept),
        tuple(place[output] for output in graph.outputs),
        tuple(graph.names[node] for node in kept),
    )


def prune(graph: ComputationGraph, outputs: tuple[int, ...] | None = None) -> ComputationGraph:
    """Drop nodes that no output depends on, and identities.

    Args:
        graph: the graph.
        outputs: node indices to keep as outputs; all of the graph's by default.
    """
    wanted = graph.outputs if outputs is None else outputs
    needed, pending = set(graph.input_indices), list(wanted)
    while pending:
        node = pending.pop()
        if node not in needed:
            needed.add(node)
            pending.extend(graph.inputs[node])
    kept: list[int] = []
    place: dict[int, int] = {}
    for node in sorted(needed):
        if graph.operations[node].kind == "identity":
            place[node] = place[graph.inputs[node][0]]
        else:
            place[node] = len(kept)
            kept.append(node)
    narrowed = ComputationGraph(graph.operations, graph.inputs, wanted, graph.names)
    return _renumber(narrowed, kept, place)


def merge_duplicates(graph: ComputationGraph) -> ComputationGraph:
    """Compute equal parameter-free values once: the ReLUs and pools that a supernet repeats on every edge of a source.

    Nodes with weights or running statistics stay apart.
    """
    kept: list[int] = []
    place: dict[int, int] = {}
    seen: dict[object, int] = {}
    for node, operation in enumerate(graph.operations):
        key = (operation, tuple(place[source] for source in graph.inputs[node]))
        if operation.kind not in _STATEFUL and operation.kind != "mix" and not operation_parameters(operation):
            if key in seen:
                place[node] = seen[key]
                continue
            seen[key] = len(kept)
        place[node] = len(kept)
        kept.append(node)
    return _renumber(graph, kept, place)
