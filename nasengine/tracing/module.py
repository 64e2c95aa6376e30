"""From any torch module to a computation graph, by torch.export."""

import logging
import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

from nasengine.errors import GraphError, TracingError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.tracing.batch_layout import NotExpressibleError
from nasengine.tracing.graph_writer import Constant, GraphWriter, Value, like
from nasengine.tracing.module_operations import TRANSLATORS, Arguments

_EXPORT_FAULTS = (
    RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError,
    torch._dynamo.exc.TorchDynamoException,
)  # fmt: skip
"""What torch.export raises, and what a forward raises that does not fit its input."""


def graph_from_module(module: nn.Module, example: Tensor) -> ComputationGraph:
    """Computation graph of a module, in eval mode, for inputs of the shape of ``example``.

    Operations that have no counterpart among the primitives become nodes of kind ``other``; see
    ``nasengine.tracing.unknown_operators``.

    Args:
        module: takes one tensor and returns one tensor or a tuple of tensors.
        example: an input, batch dimension first; of two or more images, if possible, so that the batch can be told
            from other dimensions of size one.

    Raises:
        TracingError: the control flow depends on values, the module cannot take the example, or no output depends on
            it image by image.

    >>> graph = graph_from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.zeros(2, 3, 8, 8))
    >>> [operation.kind for operation in graph.operations]
    ['input', 'conv', 'relu']
    """
    name = type(module).__name__
    if example.ndim < 2 or not example.numel():
        raise TracingError(f"module {name}: expected an example with a batch dimension, got {tuple(example.shape)}")
    was_training = module.training
    module.eval()
    try:
        with _plain_export():
            program = torch.export.export(module, (example,), strict=False)
    except _EXPORT_FAULTS as fault:
        reason = (str(fault).strip() or type(fault).__name__).splitlines()[0]
        raise TracingError(
            f"module {name}: expected control flow that does not depend on values, got: {reason}; "
            "replace branches on tensors, or export it to ONNX and read that file"
        ) from fault
    finally:
        module.train(was_training)
    return _Trace(name).run(program)


@contextmanager
def _plain_export() -> Iterator[None]:
    """Silences a logger that says what our error says better, and switches off attention in one opaque operation."""
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level, is_fast = logger.level, torch.backends.mha.get_fastpath_enabled()
    logger.setLevel(logging.CRITICAL)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        logger.setLevel(level)
        torch.backends.mha.set_fastpath_enabled(is_fast)


class _Trace:
    """One walk over the nodes of an exported program."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.writer: GraphWriter = GraphWriter()
        self.place: dict[fx.Node, Value | Constant | Sequence[Value | Constant]] = {}
        self.stored: dict[str, str] = {}

    def run(self, program: torch.export.ExportedProgram) -> ComputationGraph:
        signature = program.graph_signature
        self.stored = dict(signature.inputs_to_parameters | signature.inputs_to_buffers)
        outputs: list[Value] = []
        for node in program.graph.nodes:
            try:
                if node.op == "placeholder":
                    self._enter(node, node.name in signature.user_inputs, node.name in signature.inputs_to_parameters)
                elif node.op == "call_function":
                    self.place[node] = self._call(node)
                elif node.op == "output":
                    outputs = [self.value(item) for item in node.args[0] if isinstance(item, fx.Node)]
            except GraphError as fault:
                raise TracingError(f"module {self.name}, node {node.name} ({_name(node)}): {fault}") from fault
        self._check(outputs)
        return self.writer.finish(outputs)

    def _enter(self, node: fx.Node, is_image: bool, is_parameter: bool) -> None:
        value = node.meta.get("val")
        if not isinstance(value, Tensor):
            return
        shape = tuple(int(size) for size in value.shape)
        learned = value.numel() if is_parameter else 0
        self.place[node] = self.writer.input(shape, node.name) if is_image else Constant(shape, learned)

    def _check(self, outputs: Sequence[Value]) -> None:
        layouts = [value.layout for value in outputs]
        if not outputs or any(layout.batch > 1 and not layout.is_apart for layout in layouts):
            raise TracingError(
                f"module {self.name}: expected outputs with a batch dimension, "
                f"got {[layout.shape for layout in layouts] or 'none'}"
            )

    def _call(self, node: fx.Node) -> Any:
        if node.target is operator.getitem:
            parts, index = node.args[:2]
            return self.find(parts)[index]
        found = [self.place[source] for source in node.all_input_nodes if source in self.place]
        values = [value for value in found if isinstance(value, Value)]
        stored = sum(value.learned for value in found if isinstance(value, Constant))
        if not values:
            return _each(node, lambda shape: Constant(shape, stored))
        translator = TRANSLATORS.get(_name(node))
        if translator is not None:
            try:
                result = translator(self, node, _arguments(node))
                if _sizes(result) == _sizes(node.meta["val"]):
                    return result
            except GraphError:
                pass  # the operation is known, but its settings or its sizes are beyond the primitives
        operator_name, label = f"aten::{_name(node)}", self.label(node)
        return _each(
            node, lambda shape: self.writer.other(label, operator_name, values, like(values, shape), learned=stored)
        )

    def find(self, item: object) -> Any:
        """The value or constant that a node of the program became; None for what is neither."""
        return self.place.get(item) if isinstance(item, fx.Node) else None

    def value(self, item: object) -> Value:
        """What a node of the program became, which must depend on the images."""
        found = self.find(item)
        if not isinstance(found, Value):
            raise NotExpressibleError(f"expected a tensor that depends on the images, got {item}")
        return found

    def label(self, node: fx.Node) -> str:
        """Name after the module's weights where it has some."""
        for value in node.args:
            if isinstance(value, fx.Node) and value.name in self.stored:
                return self.stored[value.name].rpartition(".")[0] or node.name
        return node.name


def _name(node: fx.Node) -> str:
    return str(getattr(node.target, "_opname", node.target))


def _sizes(result: Any) -> list[tuple[int, ...]]:
    parts = result if isinstance(result, (list, tuple)) else [result]
    return [tuple(int(size) for size in part.shape) for part in parts]


def _each(node: fx.Node, make: Any) -> Any:
    """One result for each tensor that a call returns."""
    value = node.meta.get("val")
    if isinstance(value, (list, tuple)):
        return [make(tuple(int(size) for size in part.shape)) for part in value if isinstance(part, Tensor)]
    return make(tuple(int(size) for size in value.shape)) if isinstance(value, Tensor) else Constant(())


def _arguments(node: fx.Node) -> Arguments:
    """Arguments of a call by name, with the defaults of the operator's schema."""
    schema = getattr(node.target, "_schema", None)
    values: Arguments = {}
    if schema is not None:
        for index, argument in enumerate(schema.arguments):
            if index < len(node.args):
                values[argument.name] = node.args[index]
            else:
                values[argument.name] = node.kwargs.get(
                    argument.name, argument.default_value if argument.has_default_value() else None
                )
    return values
