"""What onnxruntime makes of a network: the units that it runs one after the other, worked out from the graph alone.

onnxruntime folds batch norms into convolutions, lets convolutions apply an activation and add another tensor on the
way, and on x86 keeps images in blocks of channels (its "NCHWc" layout), with units of their own that reorder values
where an operation needs the plain layout. The rules below were read off the graphs that onnxruntime 1.32 writes with
``optimized_model_filepath``; a test compares them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nasengine.graph import ComputationGraph, Operation, merge_duplicates, prune
from nasengine.graph.builder import make_operation

CHANNEL_ALIGNMENT = 4  # of images that onnxruntime can bring into blocks
FUSED_ANYWHERE = ("relu", "sigmoid", "tanh")  # into blocked convolutions, even after an addition
FUSED_IN_CONVOLUTIONS = (*FUSED_ANYWHERE, "relu6", "leaky_relu", "hard_sigmoid", "hard_swish")
KEEPING_BLOCKS = ("add", "mul")  # element-wise, where all inputs are in blocks


@dataclass(frozen=True, slots=True)
class RuntimeUnit:
    """One call of one of the runtime's functions.

    Args:
        operation: of the graph; ``reorder_input`` brings values into blocks, ``reorder_output`` back.
        is_blocked: works on blocks of channels.
        adds_another: a convolution that adds another tensor to its result.
        activation: kind of the activation that a convolution applies, or nothing.
    """

    operation: Operation
    is_blocked: bool = False
    adds_another: bool = False
    activation: str = ""

    @property
    def kind(self) -> str:
        """What it is, for estimates from other units: depthwise convolutions are a kind of their own."""
        operation = self.operation
        if operation.kind == "conv" and operation.groups > 1:
            return "depthwise_conv" if operation.groups == operation.output_shape[0] else "grouped_conv"
        return operation.kind


@dataclass(eq=False, slots=True)
class _Value:
    """A result that is still being decided on."""

    operation: Operation
    uses: int
    is_blocked: bool = False
    adds_another: bool = False
    activation: str = ""
    is_read_plain: bool = False
    is_read_blocked: bool = False


def runtime_units(graph: ComputationGraph, block: int) -> list[RuntimeUnit]:
    """The units that onnxruntime runs for a graph; the same unit as often as it runs.

    Args:
        graph: of the network.
        block: channels in a block of the runtime's layout; 0 where it has none.

    >>> image, relu = Operation("input", (), (3, 8, 8)), Operation("relu", ((3, 8, 8),), (3, 8, 8))
    >>> [unit.kind for unit in runtime_units(ComputationGraph((image, relu), ((), (0,)), (1,), ("i", "r")), 16)]
    ['relu']
    """
    return list(_Lowering(as_written(graph), block).run())


class _Lowering:
    """One walk over a graph, in which every value learns how it is computed and in which layouts it is read."""

    def __init__(self, graph: ComputationGraph, block: int) -> None:
        self.graph, self.block = graph, block
        self.uses = _uses(graph)
        self.values: dict[int, _Value] = {}
        self.made: list[_Value] = []

    def run(self) -> Iterator[RuntimeUnit]:
        for node, operation in enumerate(self.graph.operations):
            self.values[node] = self._lower(node, operation)
        for output in self.graph.outputs:
            self.values[output].is_read_plain = True
        for value in self.made:
            yield from _units(value)

    def _lower(self, node: int, operation: Operation) -> _Value:
        uses, sources = self.uses[node], [self.values[source] for source in self.graph.inputs[node]]
        if operation.kind in ("input", "zero"):
            return self._make(operation, uses)
        if operation.kind == "conv":
            return self._convolve(operation, uses, sources[0])
        if operation.kind in KEEPING_BLOCKS:
            return self._combine(operation.kind, sources, uses)
        if operation.kind == "batch_norm":
            return self._normalise(operation, uses, sources[0])
        if operation.kind in FUSED_IN_CONVOLUTIONS:
            return self._activate(operation, uses, sources[0])
        if operation.kind in ("max_pool", "avg_pool"):
            is_blocked = self.block > 0 and operation.output_shape[0] % self.block == 0
            return self._make(operation, uses, *sources, is_blocked=is_blocked)
        is_joint = operation.kind == "concat" and operation.attribute("axis") == 0
        keeps = is_joint and all(value.is_blocked and self._is_whole(value) for value in sources)
        return self._make(operation, uses, *sources, is_blocked=keeps)

    def _is_whole(self, value: _Value) -> bool:
        return value.operation.output_shape[0] % self.block == 0

    def _make(self, operation: Operation, uses: int, *sources: _Value, is_blocked: bool = False) -> _Value:
        for source in sources:
            source.is_read_blocked |= is_blocked
            source.is_read_plain |= not is_blocked
        self.made.append(_Value(operation, uses, is_blocked))
        return self.made[-1]

    def _convolve(self, operation: Operation, uses: int, source: _Value) -> _Value:
        channels, is_blocked = operation.input_shapes[0][0], self._blocks_convolution(operation)
        takes_plain = not is_blocked or (operation.groups == 1 and channels < self.block)
        source.is_read_plain |= takes_plain
        source.is_read_blocked |= not takes_plain
        return self._make(replace(operation, bias=False), uses, is_blocked=is_blocked)

    def _blocks_convolution(self, operation: Operation) -> bool:
        channels, groups = operation.input_shapes[0][0], operation.groups
        outputs = operation.output_shape[0]
        if not self.block:
            return False
        if groups == 1:
            return channels < self.block or channels % CHANNEL_ALIGNMENT == 0
        if channels == groups == outputs:
            return channels % CHANNEL_ALIGNMENT == 0
        return channels // groups % self.block == 0 and outputs // groups % self.block == 0

    def _combine(self, kind: str, sources: list[_Value], uses: int) -> _Value:
        left, right = sources
        shapes = left.operation.output_shape, right.operation.output_shape
        is_blocked = left.is_blocked and right.is_blocked and shapes[0] == shapes[1]
        if kind == "add" and is_blocked:
            for one, other in ((left, right), (right, left)):
                if one.uses == 1 and one.operation.kind == "conv" and not (one.adds_another or one.activation):
                    other.is_read_blocked = True
                    one.adds_another, one.uses = True, uses
                    return one
        return self._make(make_operation(kind, shapes, ()), uses, left, right, is_blocked=is_blocked)

    def _normalise(self, operation: Operation, uses: int, source: _Value) -> _Value:
        is_plain_convolution = source.operation.kind == "conv" and not (source.adds_another or source.activation)
        if is_plain_convolution and source.uses == 1:
            source.uses = uses
            return source
        if not source.is_blocked:
            return self._make(operation, uses, source)
        settings = (("channels", operation.output_shape[0]), ("groups", operation.output_shape[0]))
        return self._make(make_operation("conv", operation.input_shapes, settings), uses, source, is_blocked=True)

    def _activate(self, operation: Operation, uses: int, source: _Value) -> _Value:
        kinds = FUSED_ANYWHERE if source.adds_another else FUSED_IN_CONVOLUTIONS
        is_free = source.operation.kind == "conv" and not source.activation and source.uses == 1
        if is_free and operation.kind in kinds:
            source.activation, source.uses = operation.kind, uses
            return source
        if operation.kind == "hard_swish":  # the runtime has it inside of convolutions alone
            gate = self._make(replace(operation, kind="hard_sigmoid"), 1, source)
            return self._combine("mul", [source, gate], uses)
        is_blocked = source.is_blocked and operation.kind in FUSED_ANYWHERE
        return self._make(operation, uses, source, is_blocked=is_blocked)


def as_written(graph: ComputationGraph) -> ComputationGraph:
    """The graph as a file has it: sums of several are sums of two, zeros read nothing, nothing is computed twice."""
    operations: list[Operation] = []
    inputs: list[tuple[int, ...]] = []
    place: list[int] = []
    for operation, sources in zip(graph.operations, graph.inputs, strict=True):
        new = tuple(place[source] for source in sources)
        if operation.kind == "zero":  # constants, also where the paper has noise: a network that is used draws none
            operation, new = Operation("zero", (), operation.output_shape), ()
        while operation.kind == "add" and len(new) > 2:
            operations.append(_sum(operations, new[:2]))
            inputs.append(new[:2])
            new = (len(operations) - 1, *new[2:])
        operations.append(_sum(operations, new) if operation.kind == "add" else operation)
        inputs.append(new)
        place.append(len(operations) - 1)
    names = tuple(map(str, range(len(operations))))
    paired = ComputationGraph(tuple(operations), tuple(inputs), tuple(place[output] for output in graph.outputs), names)
    return prune(merge_duplicates(prune(paired)))


def _sum(operations: list[Operation], sources: tuple[int, ...]) -> Operation:
    return make_operation("add", tuple(operations[source].output_shape for source in sources), ())


def _uses(graph: ComputationGraph) -> list[int]:
    """How often every value is read."""
    uses = [0] * len(graph)
    for output in graph.outputs:
        uses[output] += 1
    for source, _, _ in graph.edges:
        uses[source] += 1
    return uses


def _units(value: _Value) -> Iterator[RuntimeUnit]:
    shape = value.operation.output_shape
    if value.operation.kind != "input":
        yield RuntimeUnit(value.operation, value.is_blocked, value.adds_another, value.activation)
    if value.is_blocked and value.is_read_plain:
        yield RuntimeUnit(Operation("reorder_output", (shape,), shape), is_blocked=True)
    if not value.is_blocked and value.is_read_blocked:
        yield RuntimeUnit(Operation("reorder_input", (shape,), shape), is_blocked=True)
