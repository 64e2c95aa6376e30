"""Rewrites of what exporters take apart: biases, SiLU, hard-swish and GELU come back as one node."""

from collections.abc import Callable
from math import isclose, sqrt

from nasengine.graph.builder import make_operation
from nasengine.graph.computation_graph import ComputationGraph, Operation
from nasengine.graph.passes import prune

Rule = Callable[["_Graph", int], bool]
_GATED = {"sigmoid": "silu", "hard_sigmoid": "hard_swish"}


def fuse_patterns(graph: ComputationGraph) -> ComputationGraph:
    """The graph with known patterns as one node each; what it computes stays the same.

    A linear layer and a learned offset become one layer with bias; x * sigmoid(x) is SiLU; x * hard_sigmoid(x) is
    hard-swish; x / 2 * (1 + erf(x / sqrt(2))) is GELU (Hendrycks and Gimpel, 2016, arXiv 1606.08415).
    """
    work = _Graph(graph)
    for node in range(len(graph)):
        for rule in (_bias, _gated, _gelu):
            if rule(work, node):
                break
    return prune(work.result())


class _Graph:
    """Operations and inputs that rules may replace in place."""

    def __init__(self, graph: ComputationGraph) -> None:
        self.graph = graph
        self.operations, self.inputs, self.names = list(graph.operations), list(graph.inputs), list(graph.names)
        self.uses = [0] * len(graph)
        for source in (*(source for source, _, _ in graph.edges), *graph.outputs):
            self.uses[source] += 1

    def result(self) -> ComputationGraph:
        """What the rules left, replaced nodes still in it."""
        return ComputationGraph(tuple(self.operations), tuple(self.inputs), self.graph.outputs, tuple(self.names))

    def before(self, node: int, kind: str) -> int | None:
        """The node's only source, if it is of a kind and has no other use."""
        source = self.inputs[node][0] if len(self.inputs[node]) == 1 else -1
        return source if source >= 0 and self.is_private(source, kind) else None

    def is_private(self, node: int, kind: str) -> bool:
        """Whether a node is of a kind and has one use."""
        return self.operations[node].kind == kind and self.uses[node] == 1

    def replace(self, node: int, operation: Operation, sources: tuple[int, ...]) -> bool:
        """Put another operation in place of a node."""
        self.operations[node], self.inputs[node] = operation, sources
        return True


def _bias(work: _Graph, node: int) -> bool:
    operation = work.operations[node]
    linear = work.before(node, "linear") if operation.kind == "offset" and operation.attribute("learned") else None
    if linear is None or work.operations[linear].bias:
        return False
    features = operation.output_shape[-1]
    if operation.attribute("parameter_shape") != (features,):
        return False
    shapes = work.operations[linear].input_shapes
    work.names[node], work.names[linear] = work.names[linear], work.names[node]
    fused = make_operation("linear", shapes, (("features", features), ("bias", True)))
    return work.replace(node, fused, work.inputs[linear])


def _gated(work: _Graph, node: int) -> bool:
    if work.operations[node].kind != "mul" or len(work.inputs[node]) != 2:
        return False
    left, right = work.inputs[node]
    for value, gate in ((left, right), (right, left)):
        kind = work.operations[gate].kind
        if kind in _GATED and work.uses[gate] == 1 and work.inputs[gate] == (value,):
            fused = make_operation(_GATED[kind], (work.operations[value].output_shape,), ())
            return work.replace(node, fused, (value,))
    return False


def _gelu(work: _Graph, node: int) -> bool:
    """Either half of the product, or the product itself, may be what is halved."""
    value = _error_function_of(work, node)
    if value is None and work.operations[node].kind == "scale" and _is(work.operations[node], 0.5):
        product = work.before(node, "mul")
        value = None if product is None else _error_function_of(work, product, halved=False)
    if value is None:
        return False
    return work.replace(node, make_operation("gelu", (work.operations[value].output_shape,), ()), (value,))


def _error_function_of(work: _Graph, node: int, halved: bool = True) -> int | None:
    """The x of x * (1 + erf(x / sqrt(2))), one of whose factors is halved where ``halved``."""
    if work.operations[node].kind != "mul" or len(work.inputs[node]) != 2:
        return None
    left, right = work.inputs[node]
    for plain, gate in ((left, right), (right, left)):
        factor, one = plain, gate
        if halved:
            if not (work.is_private(plain, "scale") and _is(work.operations[plain], 0.5)):
                continue
            factor = work.inputs[plain][0]
        if not (work.is_private(one, "offset") and _is(work.operations[one], 1.0)):
            continue
        erf = work.before(one, "other")
        if erf is None or work.operations[erf].attribute("operator") not in ("Erf", "aten::erf"):
            continue
        inner = work.before(erf, "scale")
        if inner is not None and _is(work.operations[inner], 1 / sqrt(2)) and work.inputs[inner] == (factor,):
            return factor
    return None


def _is(operation: Operation, value: float) -> bool:
    return isclose(float(operation.attribute("value", float("nan"))), value, rel_tol=1e-5)
