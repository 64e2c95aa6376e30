"""Rewrites of graphs that leave what they compute unchanged."""

from nasengine.graph.builder import make_operation
from nasengine.graph.computation_graph import ComputationGraph, Operation

_STATEFUL = frozenset({"batch_norm", "conv", "linear", "layer_norm", "scale", "offset", "input", "other"})


def _is_repeatable(operation: Operation) -> bool:
    """Whether two such nodes with equal inputs always have equal values."""
    return operation.kind not in _STATEFUL and operation.kind != "mix" and not operation.attribute("noise")


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

    Nodes with weights, running statistics or noise stay apart.
    """
    kept: list[int] = []
    place: dict[int, int] = {}
    seen: dict[object, int] = {}
    for node, operation in enumerate(graph.operations):
        key = (operation, tuple(place[source] for source in graph.inputs[node]))
        if _is_repeatable(operation):
            if key in seen:
                place[node] = seen[key]
                continue
            seen[key] = len(kept)
        place[node] = len(kept)
        kept.append(node)
    return _renumber(graph, kept, place)


def fuse_crops(graph: ComputationGraph) -> ComputationGraph:
    """Turn a crop of a crop into one crop, as tracers cut rows and columns one after the other."""
    operations, inputs = list(graph.operations), list(graph.inputs)
    for node, operation in enumerate(operations):
        before = inputs[node][0] if inputs[node] else node
        if operation.kind == "crop" and operations[before].kind == "crop":
            offsets = zip(operation.attribute("offset"), operations[before].attribute("offset"), strict=True)
            settings = (("offset", tuple(first + second for first, second in offsets)),)
            operations[node] = make_operation("crop", operations[before].input_shapes, settings)
            inputs[node] = inputs[before]
    return prune(ComputationGraph(tuple(operations), tuple(inputs), graph.outputs, graph.names))


def flatten_sums(graph: ComputationGraph) -> ComputationGraph:
    """Turn sums of sums into one sum, where the inner one has no other use: tracers see only additions of two."""
    uses = num_uses(graph)
    operations, inputs = list(graph.operations), list(graph.inputs)
    absorbed = {
        source
        for source, target, _ in graph.edges
        if operations[source].kind == operations[target].kind == "add"
        and uses[source] == 1
        and operations[source].output_shape == operations[target].output_shape
    }
    for node, operation in enumerate(graph.operations):
        if operation.kind == "add" and node not in absorbed:
            flat = _summands(graph, node, absorbed)
            inputs[node] = flat
            operations[node] = make_operation("add", tuple(operations[source].output_shape for source in flat), ())
    return prune(ComputationGraph(tuple(operations), tuple(inputs), graph.outputs, graph.names))


def num_uses(graph: ComputationGraph) -> list[int]:
    """How often each node's value is read, as an output of the graph too."""
    uses = [0] * len(graph)
    for source, _, _ in graph.edges:
        uses[source] += 1
    for output in graph.outputs:
        uses[output] += 1
    return uses


def _summands(graph: ComputationGraph, node: int, absorbed: set[int]) -> tuple[int, ...]:
    """What a sum adds up from left to right, looking through the sums that it absorbs."""
    flat: list[int] = []
    pending = list(reversed(graph.inputs[node]))
    while pending:
        source = pending.pop()
        if source in absorbed:
            pending.extend(reversed(graph.inputs[source]))
        else:
            flat.append(source)
    return tuple(flat)


def canonical(graph: ComputationGraph) -> ComputationGraph:
    """One form for graphs of the same network that came in different ways, so that their fingerprints are equal."""
    return flatten_sums(fuse_crops(prune(graph)))
