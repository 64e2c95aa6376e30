"""The computation graph: primitive operations in topological order, and who feeds whom.

The idea of one node per primitive operation of the whole network, stem and head included, follows GENNAPE (Mills et
al., 2023, arXiv 2211.17226). Stride, padding, dilation and groups, which that paper leaves out, are part of a node.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nasengine.errors import GraphError
from nasengine.graph.shapes import KINDS

if TYPE_CHECKING:
    import networkx

Shape = tuple[int, ...]
"""Sizes of a tensor without its batch dimension: (channels, height, width) for images."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A primitive operation with everything that its cost and its torch module depend on.

    Args:
        kind: a name of ``nasengine.graph.shapes.KINDS``, such as ``conv`` or ``add``.
        input_shapes: one shape for each slot.
        output_shape: shape of the result.
        kernel, stride, padding, dilation: (height, width) of convolutions and pools; neutral values elsewhere.
        groups: groups of a convolution.
        bias: whether a convolution or linear layer adds a bias.
        attributes: what only some kinds have, as sorted (name, value) pairs.
    """

    kind: str
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: bool = False
    attributes: tuple[tuple[str, Hashable], ...] = ()

    def attribute(self, name: str, default: Any = None) -> Any:
        """Value of one of the attributes, or ``default``."""
        return dict(self.attributes).get(name, default)

    def expected_output_shape(self) -> Shape:
        """The output shape that the rule of this kind gives.

        Raises:
            GraphError: the kind is unknown or cannot be applied to these inputs.
        """
        if self.kind == "input":
            return self.output_shape
        if self.kind not in KINDS or not self.input_shapes or not self.output_shape:
            raise GraphError(f"operation {self.kind}: expected a known kind with inputs and an output shape")
        settings = {
            "kernel": self.kernel, "stride": self.stride, "padding": self.padding, "dilation": self.dilation,
            "groups": self.groups, **dict(self.attributes),
            "channels": self.output_shape[0], "features": self.output_shape[-1], "shape": self.output_shape,
        }  # fmt: skip
        try:
            return KINDS[self.kind](self.input_shapes, settings)
        except (LookupError, TypeError, ValueError, ArithmeticError) as fault:
            if isinstance(fault, GraphError):
                raise
            raise GraphError(f"operation {self.kind}: expected settings that fit its inputs, got {fault!r}") from fault


@dataclass(frozen=True)
class ComputationGraph:
    """A network without its weights.

    Args:
        operations: nodes in topological order.
        inputs: for every node, the nodes that feed its slots 0, 1, ...
        outputs: nodes whose values the network returns; the first is the classifier.
        names: stable labels of the nodes (weights are stored under them); not part of equality.

    >>> image = Operation("input", (), (3, 8, 8))
    >>> relu = Operation("relu", ((3, 8, 8),), (3, 8, 8))
    >>> ComputationGraph((image, relu), ((), (0,)), (1,), ("image", "relu")).edges
    ((0, 1, 0),)
    """

    operations: tuple[Operation, ...]
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]
    names: tuple[str, ...] = field(compare=False)

    def __post_init__(self) -> None:
        if not len(self.operations) == len(self.inputs) == len(self.names):
            raise GraphError(
                f"graph: expected one inputs entry and one name for each of {len(self.operations)} operations, "
                f"got {len(self.inputs)} and {len(self.names)}"
            )

    def __len__(self) -> int:
        return len(self.operations)

    @property
    def edges(self) -> tuple[tuple[int, int, int], ...]:
        """All edges as (source, target, slot)."""
        return tuple(
            (source, target, slot) for target, sources in enumerate(self.inputs) for slot, source in enumerate(sources)
        )

    @property
    def input_indices(self) -> tuple[int, ...]:
        """Nodes through which data enters."""
        return tuple(index for index, operation in enumerate(self.operations) if operation.kind == "input")

    @cached_property
    def networkx(self) -> "networkx.MultiDiGraph":
        """A frozen networkx view: node data ``operation`` and ``name``, edge data ``slot``."""
        import networkx

        view = networkx.MultiDiGraph()
        for index, (operation, name) in enumerate(zip(self.operations, self.names, strict=True)):
            view.add_node(index, operation=operation, name=name)
        for source, target, slot in self.edges:
            view.add_edge(source, target, slot=slot)
        return networkx.freeze(view)

    def check(self) -> None:
        """Raise GraphError unless edges run forward, shapes agree along them and every name is used once."""
        for index, (operation, sources) in enumerate(zip(self.operations, self.inputs, strict=True)):
            where = f"graph node {index} ({self.names[index]}, {operation.kind})"
            if any(not 0 <= source < index for source in sources):
                raise GraphError(f"{where}: expected inputs among nodes 0 to {index - 1}, got {sources}")
            shapes = tuple(self.operations[source].output_shape for source in sources)
            if shapes != operation.input_shapes:
                raise GraphError(f"{where}: expected input shapes {operation.input_shapes}, got {shapes}")
            expected = operation.expected_output_shape()
            if expected != operation.output_shape:
                raise GraphError(f"{where}: expected output shape {expected}, got {operation.output_shape}")
        if not self.outputs or any(not 0 <= output < len(self) for output in self.outputs):
            raise GraphError(f"graph: expected outputs among nodes 0 to {len(self) - 1}, got {self.outputs}")
        if len(set(self.names)) != len(self.names):
            raise GraphError("graph: expected every node name once, got repeated names")
