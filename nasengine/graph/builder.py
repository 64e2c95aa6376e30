"""Builds computation graphs node by node, with shapes worked out on the way."""

from collections.abc import Hashable
from functools import lru_cache
from typing import Any

from nasengine.errors import GraphError
from nasengine.graph.computation_graph import ComputationGraph, Operation, Shape
from nasengine.graph.shapes import KINDS

_FIELDS = ("kernel", "stride", "padding", "dilation", "groups", "bias")
_DEFAULTS: dict[str, Any] = {
    "kernel": (1, 1), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, "bias": False,
}  # fmt: skip
_IMPLIED = ("channels", "features", "shape")  # visible in the output shape, so not repeated as attributes


@lru_cache(maxsize=65536)
def make_operation(kind: str, input_shapes: tuple[Shape, ...], settings: tuple[tuple[str, Hashable], ...]) -> Operation:
    """One shared Operation for equal arguments: graphs of one space share their nodes.

    Raises:
        GraphError: the kind is unknown or cannot be applied to these shapes.
    """
    if kind not in KINDS:
        raise GraphError(f"operation kind: expected one of {', '.join(sorted(KINDS))}, got {kind!r}")
    values = _DEFAULTS | {name: _pair(name, value) for name, value in settings}
    if any(size < 1 for name in ("kernel", "stride", "dilation") for size in values[name]) or values["groups"] < 1:
        raise GraphError(f"{kind}: expected kernel, stride, dilation and groups of at least 1, got {dict(settings)}")
    output_shape = KINDS[kind](input_shapes, values)
    if any(size < 1 for size in output_shape):
        raise GraphError(f"{kind}: expected a non-empty output, got {output_shape} from {input_shapes}")
    rest = sorted((name, value) for name, value in values.items() if name not in _FIELDS and name not in _IMPLIED)
    fields = {name: values[name] for name in _FIELDS}
    return Operation(kind, input_shapes, output_shape, attributes=tuple(rest), **fields)


def _pair(name: str, value: Any) -> Any:
    return (value, value) if name in ("kernel", "stride", "padding", "dilation") and isinstance(value, int) else value


class GraphBuilder:
    """Collects nodes; every method returns the index of the node that it adds.

    >>> builder = GraphBuilder()
    >>> image = builder.input((3, 8, 8))
    >>> conv = builder.add("conv", image, name="stem", channels=16, kernel=3, padding=1)
    >>> builder.build(conv).operations[conv].output_shape
    (16, 8, 8)
    """

    def __init__(self) -> None:
        self._operations: list[Operation] = []
        self._inputs: list[tuple[int, ...]] = []
        self._names: list[str] = []

    def input(self, shape: Shape, name: str = "input") -> int:
        """Add an entry for data of this shape (without the batch dimension)."""
        return self._append(Operation("input", (), shape), (), name)

    def add(self, kind: str, *sources: int, name: str, **settings: Hashable) -> int:
        """Add an operation on earlier nodes. ``channels``, ``features`` and ``shape`` set the output shape."""
        shapes = tuple(self.shape(source) for source in sources)
        return self._append(make_operation(kind, shapes, tuple(settings.items())), sources, name)

    def shape(self, index: int) -> Shape:
        """Output shape of an earlier node."""
        return self._operations[index].output_shape

    def build(self, *outputs: int) -> ComputationGraph:
        """The finished graph, returning the values of ``outputs``."""
        return ComputationGraph(tuple(self._operations), tuple(self._inputs), outputs, tuple(self._names))

    def _append(self, operation: Operation, sources: tuple[int, ...], name: str) -> int:
        self._operations.append(operation)
        self._inputs.append(sources)
        self._names.append(name)
        return len(self._operations) - 1
