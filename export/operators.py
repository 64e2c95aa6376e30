"""ONNX operators that networks turn into, and what a target says to them before anything is exported."""

from collections.abc import Callable, Iterator
from pathlib import Path

import onnx

from nasengine.errors import ExportError, TracingError
from nasengine.graph import ComputationGraph
from nasengine.graph.computation_graph import Operation
from nasengine.graph.passes import num_uses
from nasengine.targets import Target
from nasengine.tracing.onnx_file import load_onnx, one_sentence

_MAX_NAMED = 5
_MAX_DEPTH = 16
_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear"})
_FREE = frozenset({"Constant", "Identity"})  # values, and other names for values: every converter removes them
_ZEROS = ("Shape", "Concat", "ConstantOfShape")  # of a batch whose size is open


def onnx_operators(operation: Operation) -> tuple[str, ...]:
    """ONNX operators that the exporter may write for an operation; none for inputs and identities.

    A batch norm after a convolution is folded into it and then leaves nothing; see ``refuse_unsupported``.

    Raises:
        ExportError: nothing is written for this kind.

    >>> onnx_operators(Operation("silu", ((3, 8, 8),), (3, 8, 8)))
    ('Sigmoid', 'Mul')
    """
    if operation.kind not in _OPERATORS:
        name = str(operation.attribute("operator", operation.kind))[:100]
        raise ExportError(f"operation {name!r}: expected one that can be exported; build the network without it")
    found = _OPERATORS[operation.kind]
    return found(operation) if callable(found) else found


def refuse_unsupported(graph: ComputationGraph, target: Target) -> None:
    """Nothing, where a target runs all operators of a network.

    Raises:
        ExportError: it lacks some; each is named with the first layer that needs it.
    """
    if not target.operators:
        return
    folded = _folded_norms(graph)
    needed = (
        (name, f"layer {layer!r} ({operation.kind})")
        for node, (operation, layer) in enumerate(zip(graph.operations, graph.names, strict=True))
        if node not in folded
        for name in onnx_operators(operation)
    )
    _refuse(f"target {target.name!r}", needed, target)


def check_file(path: Path, target: Target) -> None:
    """The same for an ONNX file, whose nodes are named.

    Raises:
        ExportError: the target lacks operators of the file, or it cannot be read.
    """
    try:
        graph = load_onnx(path).graph
    except TracingError as fault:
        raise ExportError(one_sentence(str(fault))) from fault
    if not graph.node:
        raise ExportError(f"onnx file {path}: expected an ONNX model with nodes, got none; is it another kind of file?")
    needed = ((node.op_type, f"node {node.name or node.op_type!r}") for node in _nodes(graph))
    _refuse(f"onnx file {path} on target {target.name!r}", needed, target)


def _refuse(where: str, needed: Iterator[tuple[str, str]], target: Target) -> None:
    if not target.operators:
        return
    allowed = {*target.operators, *_FREE}
    if "int8" in target.data_types:
        allowed |= _QUANTIZED
    if "float16" in target.data_types:
        allowed.add("Cast")
    lacking: dict[str, str] = {}
    for name, place in needed:
        if name not in allowed:
            lacking.setdefault(name, place)
    if lacking:
        listed = ", ".join(f"{name} in {place}" for name, place in list(lacking.items())[:_MAX_NAMED])
        more = f" and {len(lacking) - _MAX_NAMED} more" if len(lacking) > _MAX_NAMED else ""
        raise ExportError(
            one_sentence(f"{where}: expected operators that it runs, got {listed}{more}")
            + f"; choose networks without them, or another target; see 'nasengine target show {target.name}'"
        )


def _nodes(graph: onnx.GraphProto, depth: int = 0) -> Iterator[onnx.NodeProto]:
    """All nodes, those inside of branches and loops included."""
    if depth > _MAX_DEPTH:
        raise ExportError(f"onnx graph: expected branches nested at most {_MAX_DEPTH} deep, got more")
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
                yield from _nodes(inner, depth + 1)


def _folded_norms(graph: ComputationGraph) -> set[int]:
    """Batch norms that alone use the value of a convolution, or of convolutions that are only concatenated."""
    uses = num_uses(graph)

    def is_folded_into(node: int) -> bool:
        kind = graph.operations[node].kind
        if uses[node] != 1:
            return False
        return kind == "conv" or (kind == "concat" and all(
            uses[source] == 1 and graph.operations[source].kind == "conv" for source in graph.inputs[node]
        ))  # fmt: skip

    return {
        node
        for node, operation in enumerate(graph.operations)
        if operation.kind == "batch_norm" and is_folded_into(graph.inputs[node][0])
    }


def _linear(operation: Operation) -> tuple[str, ...]:
    if not operation.bias:
        return ("MatMul",)
    return ("Gemm",) if len(operation.input_shapes[0]) == 1 else ("MatMul", "Add")


_OPERATORS: dict[str, tuple[str, ...] | Callable[[Operation], tuple[str, ...]]] = {
    "input": (),
    "identity": (),
    "conv": ("Conv",),
    "linear": _linear,
    "matmul": ("MatMul",),
    "batch_norm": ("BatchNormalization",),
    "layer_norm": ("LayerNormalization",),
    "max_pool": ("MaxPool",),
    "avg_pool": ("AveragePool",),
    "mean": ("ReduceMean",),
    "add": ("Add",),
    "sub": ("Sub",),
    "mul": ("Mul",),
    "div": ("Div",),
    "scale": ("Mul",),
    "offset": ("Add",),
    "concat": ("Concat",),
    "zero": _ZEROS,
    "crop": ("Slice",),
    "truncate": ("Slice",),
    "slice": ("Slice",),
    "pad": ("Pad",),
    "resize": ("Resize",),
    "flatten": ("Reshape",),
    "reshape": ("Reshape",),
    "transpose": ("Transpose",),
    "relu": ("Relu",),
    "relu6": ("Clip",),
    "leaky_relu": ("LeakyRelu",),
    "sigmoid": ("Sigmoid",),
    "tanh": ("Tanh",),
    "silu": ("Sigmoid", "Mul"),
    "gelu": ("Gelu",),
    "hard_sigmoid": ("HardSigmoid",),
    "hard_swish": ("HardSwish",),
    "softmax": ("Softmax",),
}
"""What torch's exporter writes in operator set 20. ``mix`` lives in supernets alone, ``other`` cannot be computed."""
