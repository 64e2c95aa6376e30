"""From any torch module to a computation graph, by torch.export."""

import logging
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from nasengine.errors import GraphError, TracingError
from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.graph.passes import canonical

Arguments = dict[str, Any]
Translator = Callable[["_Trace", fx.Node, Arguments], int]


def graph_from_module(module: nn.Module, example: Tensor) -> ComputationGraph:
    """Computation graph of a module, in eval mode, for inputs of the shape of ``example``.

    Args:
        module: takes one tensor and returns one tensor or a tuple of tensors.
        example: an input, batch dimension first.

    Raises:
        TracingError: the control flow depends on values, or an operation has no counterpart among the primitives.

    >>> graph = graph_from_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.zeros(2, 3, 8, 8))
    >>> [operation.kind for operation in graph.operations]
    ['input', 'conv', 'relu']
    """
    was_training = module.training
    module.eval()
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it logs what the error below says better
    try:
        program = torch.export.export(module, (example,), strict=False)
    except (RuntimeError, ValueError, TypeError, torch._dynamo.exc.TorchDynamoException) as fault:
        reason = str(fault).strip().splitlines()[0]
        raise TracingError(
            f"module {type(module).__name__}: expected control flow that does not depend on values, got: {reason}; "
            "replace branches on tensors, or export it to ONNX and read that file"
        ) from fault
    finally:
        logger.setLevel(level)
        module.train(was_training)
    return _Trace(type(module).__name__).run(program)


class _Trace:
    """One walk over the nodes of an exported program."""

    def __init__(self, name: str) -> None:
        self.name, self.builder = name, GraphBuilder()
        self.place: dict[fx.Node, int] = {}

    def run(self, program: torch.export.ExportedProgram) -> ComputationGraph:
        signature = program.graph_signature
        self.learned = dict(signature.inputs_to_parameters | signature.inputs_to_buffers)
        self.parameters = set(signature.inputs_to_parameters)
        outputs: list[int] = []
        for node in program.graph.nodes:
            if node.op == "placeholder":
                if node.name not in self.learned and node.name in signature.user_inputs:
                    self.place[node] = self.builder.input(_shape(node), node.name)
            elif node.op == "call_function":
                self._call(node)
            elif node.op == "output":
                outputs = [self._source(value, node) for value in node.args[0] if isinstance(value, fx.Node)]
        graph = canonical(self.builder.build(*outputs))
        graph.check()
        return graph

    def _call(self, node: fx.Node) -> None:
        target = node.target
        if target is operator.getitem:
            self.place[node] = self._source(node.args[0], node)
            return
        name = str(getattr(target, "_opname", target))
        translator = TRANSLATORS.get(name)
        if translator is None:
            raise TracingError(
                f"module {self.name}, node {node.name}: expected one of the operations "
                f"{', '.join(sorted(TRANSLATORS))}, got {name}"
            )
        try:
            self.place[node] = translator(self, node, _arguments(node))
        except GraphError as fault:
            raise TracingError(f"module {self.name}, node {node.name} ({name}): {fault}") from fault

    def _source(self, value: object, node: fx.Node) -> int:
        if not isinstance(value, fx.Node) or value not in self.place:
            raise TracingError(
                f"module {self.name}, node {node.name}: expected inputs that come from the images, got {value}"
            )
        return self.place[value]

    def add(self, kind: str, node: fx.Node, *values: object, **settings: Any) -> int:
        """A node of the graph, named after the module's weights where it has some."""
        sources = [self._source(value, node) for value in values]
        return self.builder.add(kind, *sources, name=self._label(node), **settings)

    def _label(self, node: fx.Node) -> str:
        for value in node.args:
            if isinstance(value, fx.Node) and value.name in self.learned:
                return self.learned[value.name].rpartition(".")[0] or node.name
        return node.name

    def is_state(self, value: object) -> bool:
        """Whether a value is a parameter or buffer."""
        return isinstance(value, fx.Node) and value.name in self.learned


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(int(size) for size in node.meta["val"].shape[1:])


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


def _pair(value: Any) -> tuple[int, int]:
    items = list(value) if isinstance(value, Sequence) else [value]
    return (int(items[0]), int(items[-1]))


def _conv(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    weight = given["weight"].meta["val"].shape
    if len(weight) != 4 or given.get("transposed"):
        raise GraphError(f"expected a two-dimensional convolution, got a weight of shape {tuple(weight)}")
    padding = given["padding"]
    dilation = _pair(given["dilation"])
    if isinstance(padding, str):
        reach = [step * (size - 1) for step, size in zip(dilation, weight[2:], strict=True)]
        padding = [0, 0] if padding == "valid" else [size // 2 for size in reach]
    return trace.add(
        "conv", node, given["input"], channels=int(weight[0]), kernel=_pair(weight[2:]), stride=_pair(given["stride"]),
        padding=_pair(padding), dilation=dilation, groups=int(given["groups"]), bias=given["bias"] is not None,
    )  # fmt: skip


def _linear(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    features = int(given["weight"].meta["val"].shape[0])
    return trace.add("linear", node, given["input"], features=features, bias=given["bias"] is not None)


def _batch_norm(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    settings = {} if given["weight"] is not None else {"affine": False}
    return trace.add("batch_norm", node, given["input"], **settings)


def _layer_norm(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    settings = {} if given["weight"] is not None else {"affine": False}
    return trace.add("layer_norm", node, given["input"], shape_normalized=tuple(given["normalized_shape"]), **settings)


def _pool(kind: str) -> Translator:
    def translate(trace: _Trace, node: fx.Node, given: Arguments) -> int:
        first = next(iter(given.values()))
        kernel = _pair(given["kernel_size"])
        settings: Arguments = {
            "kernel": kernel,
            "stride": _pair(given["stride"] or kernel),
            "padding": _pair(given["padding"]),
        }
        if given.get("ceil_mode"):
            settings["ceil_mode"] = True
        if kind == "max_pool":
            settings["dilation"] = _pair(given["dilation"])
        elif not given["count_include_pad"]:
            settings["count_include_pad"] = False
        if kind == "avg_pool" and given.get("divisor_override") is not None:
            raise GraphError("expected average pooling without divisor_override")
        return trace.add(kind, node, first, **settings)

    return translate


def _adaptive_pool(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    source = next(iter(given.values()))
    height, width = (int(size) for size in source.meta["val"].shape[2:])
    target = _pair(given["output_size"])
    if target == (1, 1):
        return trace.add("mean", node, source, axes=(1, 2), keepdim=True)
    if height % target[0] or width % target[1]:
        raise GraphError(f"expected adaptive pooling of {height}x{width} to sizes that divide it, got {target}")
    kernel = (height // target[0], width // target[1])
    return trace.add("avg_pool", node, source, kernel=kernel, stride=kernel)


def _mean(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    source = next(iter(given.values()))
    rank = source.meta["val"].ndim
    axes = tuple(sorted(int(axis) % rank - 1 for axis in given["dim"] or range(1, rank)))
    return trace.add("mean", node, source, axes=axes, **({"keepdim": True} if given["keepdim"] else {}))


def _arithmetic(kind: str) -> Translator:
    neutral = "scale" if kind in ("mul", "div") else "offset"

    def translate(trace: _Trace, node: fx.Node, given: Arguments) -> int:
        left, right = list(given.values())[:2]
        if given.get("alpha") not in (None, 1):
            raise GraphError(f"expected alpha=1, got {given['alpha']}")
        if trace.is_state(left) and kind in ("add", "mul"):
            left, right = right, left
        if trace.is_state(right):
            shape = tuple(int(size) for size in right.meta["val"].shape)
            learned = (
                {"learned": True, "parameter_shape": shape} if right.name in trace.parameters else {"fixed": shape}
            )
            return trace.add(neutral, node, left, **learned)
        if isinstance(right, (int, float)) or isinstance(left, (int, float)):
            source, number = (left, right) if isinstance(left, fx.Node) else (right, left)
            if source is right and kind in ("sub", "div"):
                raise GraphError(f"expected a tensor before a number in {kind}, got {number}")
            value = {"sub": -number, "div": 1 / number if number else float("nan")}.get(kind, number)
            return trace.add(neutral, node, source, value=float(value))
        return trace.add(kind, node, left, right)

    return translate


def _concat(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    parts = given["tensors"]
    axis = int(given["dim"]) % parts[0].meta["val"].ndim
    if axis == 0:
        raise GraphError("expected concatenation along another dimension than the batch")
    return trace.add("concat", node, *parts, axis=axis - 1)


def _flat(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    source = next(iter(given.values()))
    shape = _shape(node)
    if node.meta["val"].shape[0] != source.meta["val"].shape[0]:
        raise GraphError("expected a reshape that leaves the batch dimension alone")
    if len(shape) == 1:
        return trace.add("flatten", node, source)
    return trace.add("reshape", node, source, shape=shape)


def _transpose(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    source = next(iter(given.values()))
    rank = source.meta["val"].ndim
    if "dims" in given:
        order = [int(axis) % rank for axis in given["dims"]]
    else:
        order = list(range(rank))
        first, second = int(given["dim0"]) % rank, int(given["dim1"]) % rank
        order[first], order[second] = second, first
    if order[0] != 0:
        raise GraphError("expected a transpose that leaves the batch dimension first")
    return trace.add("transpose", node, source, axes=tuple(axis - 1 for axis in order[1:]))


def _slice(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    """Slices that keep everything vanish; cuts at the top and left become crops, first channels are kept."""
    source = next(iter(given.values()))
    before, after = source.meta["val"].shape, node.meta["val"].shape
    if before == after:
        return trace._source(source, node)
    axis, start, step = int(given["dim"]), int(given["start"] or 0), int(given["step"] or 1)
    if axis == 1 and start == 0 and step == 1:
        return trace.add("truncate", node, source, channels=int(after[1]))
    if axis not in (2, 3) or step != 1 or int(after[axis]) != int(before[axis]) - start:
        raise GraphError("expected a slice that cuts rows or columns off the beginning, or channels off the end")
    return trace.add("crop", node, source, offset=(start, 0) if axis == 2 else (0, start))


def _pad(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    pads = [int(size) for size in given["pad"]] + [0] * (4 - len(given["pad"]))
    left, right, top, bottom = pads[:4]
    if len(given["pad"]) > 4 or (given.get("value") or 0) != 0 or given.get("mode") not in (None, "constant"):
        raise GraphError("expected padding of rows and columns with zeros")
    return trace.add("pad", node, next(iter(given.values())), pads=(top, bottom, left, right))


def _softmax(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    rank = next(iter(given.values())).meta["val"].ndim
    return trace.add("softmax", node, next(iter(given.values())), axis=int(given["dim"]) % rank - 1)


def _simple(kind: str, **settings: Any) -> Translator:
    return lambda trace, node, given: trace.add(kind, node, next(iter(given.values())), **settings)


def _hardtanh(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    if (float(given["min_val"]), float(given["max_val"])) != (0.0, 6.0):
        raise GraphError("expected hardtanh between 0 and 6 (ReLU6)")
    return trace.add("relu6", node, next(iter(given.values())))


def _gelu(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    settings = {} if given["approximate"] == "none" else {"approximate": given["approximate"]}
    return trace.add("gelu", node, next(iter(given.values())), **settings)


def _leaky(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    return trace.add("leaky_relu", node, next(iter(given.values())), slope=float(given["negative_slope"]))


def _binary(kind: str) -> Translator:
    return lambda trace, node, given: trace.add(kind, node, *list(given.values())[:2])


def _zero(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    source = next(iter(given.values()))
    (channels, height, width), (_, rows, columns) = _shape(node), _shape(source)
    return trace.add("zero", node, source, channels=channels, stride=(rows // height, columns // width))


def _alias(trace: _Trace, node: fx.Node, given: Arguments) -> int:
    return trace._source(next(iter(given.values())), node)


TRANSLATORS: dict[str, Translator] = {
    "conv2d": _conv, "convolution": _conv, "linear": _linear, "batch_norm": _batch_norm, "layer_norm": _layer_norm,
    "max_pool2d": _pool("max_pool"), "avg_pool2d": _pool("avg_pool"), "adaptive_avg_pool2d": _adaptive_pool,
    "mean": _mean, "add": _arithmetic("add"), "add_": _arithmetic("add"), "sub": _arithmetic("sub"),
    "mul": _arithmetic("mul"), "mul_": _arithmetic("mul"), "div": _arithmetic("div"), "cat": _concat,
    "flatten": _flat, "view": _flat, "reshape": _flat, "squeeze": _flat, "unsqueeze": _flat,
    "transpose": _transpose, "permute": _transpose, "slice": _slice, "pad": _pad, "constant_pad_nd": _pad,
    "softmax": _softmax, "hardtanh": _hardtanh, "hardtanh_": _hardtanh, "relu6": _simple("relu6"), "gelu": _gelu,
    "leaky_relu": _leaky, "leaky_relu_": _leaky, "matmul": _binary("matmul"), "bmm": _binary("matmul"),
    "relu": _simple("relu"), "relu_": _simple("relu"), "sigmoid": _simple("sigmoid"), "tanh": _simple("tanh"),
    "silu": _simple("silu"), "silu_": _simple("silu"), "hardsigmoid": _simple("hard_sigmoid"),
    "hardswish": _simple("hard_swish"), "hardswish_": _simple("hard_swish"),
    "dropout": _alias, "dropout_": _alias, "clone": _alias, "contiguous": _alias, "alias": _alias, "detach": _alias,
    "feature_dropout": _alias, "zeros_like": _zero, "new_zeros": _zero,
}  # fmt: skip
"""How each operation of torch becomes a primitive."""
