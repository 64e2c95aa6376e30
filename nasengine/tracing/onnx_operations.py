"""How each operation of ONNX becomes a primitive of our graphs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy
import onnx

from nasengine.errors import GraphError

if TYPE_CHECKING:
    from nasengine.tracing.onnx_file import OnnxReader

Settings = dict[str, Any]
Translator = Callable[["OnnxReader", onnx.NodeProto, Settings], int]


def _window(settings: Settings, kernel: tuple[int, int], shape: tuple[int, ...]) -> Settings:
    """Kernel, stride, dilation and symmetric padding; uneven padding is an error."""
    stride = tuple(settings.get("strides", (1, 1)))
    dilation = tuple(settings.get("dilations", (1, 1)))
    auto = settings.get("auto_pad", b"NOTSET")
    pads = list(settings.get("pads", (0, 0, 0, 0)))
    if auto not in (b"NOTSET", b"", b"VALID"):
        total = [
            max(0, (-(-size // step) - 1) * step + rate * (length - 1) + 1 - size)
            for size, step, rate, length in zip(shape[1:], stride, dilation, kernel, strict=True)
        ]
        pads = [amount // 2 for amount in total] + [amount - amount // 2 for amount in total]
    if pads[:2] != pads[2:]:
        raise GraphError(f"expected the same padding on both sides, got {pads}")
    return {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": tuple(pads[:2])}


def _conv(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    source, weight = reader.source(node, 0), reader.weight_shape(node, 1)
    if len(weight) != 4:
        raise GraphError(f"expected a two-dimensional convolution, got a weight of shape {weight}")
    window = _window(settings, (weight[2], weight[3]), reader.builder.shape(source))
    groups = int(settings.get("group", 1))
    return reader.add("conv", node, source, channels=weight[0], groups=groups, bias=reader.has(node, 2), **window)


def _gemm(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    rows, columns = reader.weight_shape(node, 1)
    features = rows if settings.get("transB") else columns
    return reader.add("linear", node, reader.source(node, 0), features=features, bias=reader.has(node, 2))


def _matmul(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    if reader.is_weight(node, 1):
        return reader.add("linear", node, reader.source(node, 0), features=reader.weight_shape(node, 1)[-1])
    return reader.add("matmul", node, reader.source(node, 0), reader.source(node, 1))


def _pool(kind: str) -> Translator:
    def translate(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
        source = reader.source(node, 0)
        window = _window(settings, tuple(settings["kernel_shape"]), reader.builder.shape(source))
        if settings.get("ceil_mode"):
            window["ceil_mode"] = True
        if kind == "avg_pool" and not settings.get("count_include_pad", 0):
            window["count_include_pad"] = False
        return reader.add(kind, node, source, **window)

    return translate


def _global_pool(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    return reader.add("mean", node, reader.source(node, 0), axes=(1, 2), keepdim=True)


def _axes(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings, rank: int) -> tuple[int, ...]:
    axes = settings.get("axes") or (reader.numbers(node, 1) if reader.has(node, 1) else range(1, rank + 1))
    places = tuple(sorted(_axis(int(axis), rank) - 1 for axis in axes))
    if any(axis < 0 for axis in places):
        raise GraphError("expected axes other than the batch")
    return places


def _axis(axis: int, rank: int) -> int:
    """An axis counted from the batch dimension; ``rank`` leaves that dimension out."""
    if not -rank - 1 <= axis <= rank:
        raise GraphError(f"expected an axis between {-rank - 1} and {rank}, got {axis}")
    return axis % (rank + 1)


def _mean(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    source = reader.source(node, 0)
    axes = _axes(reader, node, settings, len(reader.builder.shape(source)))
    keep = {"keepdim": True} if settings.get("keepdims", 1) else {}
    return reader.add("mean", node, source, axes=axes, **keep)


def _arithmetic(kind: str) -> Translator:
    neutral = "scale" if kind in ("mul", "div") else "offset"

    def translate(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
        stored = [slot for slot in (0, 1) if reader.is_weight(node, slot)]
        if not stored:
            return reader.add(kind, node, reader.source(node, 0), reader.source(node, 1))
        slot = stored[0]
        shape = reader.weight_shape(node, slot)
        source = reader.source(node, 1 - slot)
        if numpy.prod(shape, dtype=float) != 1:
            return reader.add(neutral, node, source, learned=True, parameter_shape=shape)
        (number,) = reader.numbers(node, slot)
        value = {"sub": -number, "div": 1 / number if number else float("nan")}.get(kind, number)
        if kind in ("sub", "div") and slot == 0:
            raise GraphError(f"expected a tensor before a number, got {number}")
        return reader.add(neutral, node, source, value=float(value))

    return translate


def _concat(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    sources = [reader.source(node, slot) for slot in range(len(node.input))]
    axis = _axis(int(settings["axis"]), len(reader.builder.shape(sources[0])))
    if axis == 0:
        raise GraphError("expected concatenation along another dimension than the batch")
    return reader.add("concat", node, *sources, axis=axis - 1)


def _flatten(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    if settings.get("axis", 1) != 1:
        raise GraphError(f"expected axis 1, got {settings['axis']}")
    return reader.add("flatten", node, reader.source(node, 0))


def _reshape(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    source = reader.source(node, 0)
    target = [int(size) for size in reader.numbers(node, 1)][1:]
    total = int(numpy.prod(reader.builder.shape(source)))
    known = int(numpy.prod([size for size in target if size > 0]))
    shape = tuple(total // known if size == -1 else size for size in target)
    if len(shape) == 1:
        return reader.add("flatten", node, source)
    return reader.add("reshape", node, source, shape=shape)


def _squeeze(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    source = reader.source(node, 0)
    shape = reader.builder.shape(source)
    axes = _axes(reader, node, settings, len(shape))
    kept = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    return reader.add(
        "flatten" if len(kept) == 1 else "reshape", node, source, **({} if len(kept) == 1 else {"shape": kept})
    )


def _transpose(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    order = list(settings["perm"])
    if order[0] != 0:
        raise GraphError("expected a transpose that leaves the batch dimension first")
    return reader.add("transpose", node, reader.source(node, 0), axes=tuple(axis - 1 for axis in order[1:]))


def _slice(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    source = reader.source(node, 0)
    shape = reader.builder.shape(source)
    starts, ends = reader.numbers(node, 1), reader.numbers(node, 2)
    axes = reader.numbers(node, 3) if reader.has(node, 3) else list(range(len(starts)))
    steps = reader.numbers(node, 4) if reader.has(node, 4) else [1] * len(starts)
    if len(axes) == 1 and _axis(int(axes[0]), len(shape)) == 1 and starts[0] == 0 and steps[0] == 1:
        return reader.add("truncate", node, source, channels=min(int(ends[0]), shape[0]))
    offset = [0, 0]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = _axis(int(axis), len(shape))
        if place not in (2, 3) or step != 1 or end < shape[place - 1] or not 0 <= start < shape[place - 1]:
            raise GraphError("expected a slice that cuts rows or columns off the beginning, or channels off the end")
        offset[place - 2] = int(start)
    return reader.add("crop", node, source, offset=tuple(offset))


def _pad(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    pads = [int(size) for size in settings.get("pads") or reader.numbers(node, 1)]
    half = len(pads) // 2
    if half != 4 or any(pads[:2]) or any(pads[4:6]) or settings.get("mode", b"constant") != b"constant":
        raise GraphError(f"expected padding of rows and columns with zeros, got {pads}")
    return reader.add("pad", node, reader.source(node, 0), pads=(pads[2], pads[6], pads[3], pads[7]))


def _clip(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    low = settings.get("min", reader.numbers(node, 1)[0] if reader.has(node, 1) else None)
    high = settings.get("max", reader.numbers(node, 2)[0] if reader.has(node, 2) else None)
    if low != 0 or high not in (6, None):
        raise GraphError(f"expected a clip to 0..6 (ReLU6) or 0.. (ReLU), got {low}..{high}")
    return reader.add("relu6" if high == 6 else "relu", node, reader.source(node, 0))


def _softmax(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    source = reader.source(node, 0)
    axis = _axis(int(settings.get("axis", -1)), len(reader.builder.shape(source)))
    return reader.add("softmax", node, source, axis=axis - 1)


def _layer_norm(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    return reader.add("layer_norm", node, reader.source(node, 0), shape_normalized=reader.weight_shape(node, 1))


def _leaky(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    return reader.add("leaky_relu", node, reader.source(node, 0), slope=float(settings.get("alpha", 0.01)))


def _gelu(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    kind = settings.get("approximate", b"none").decode()
    return reader.add("gelu", node, reader.source(node, 0), **({} if kind == "none" else {"approximate": kind}))


def _simple(kind: str) -> Translator:
    return lambda reader, node, settings: reader.add(kind, node, reader.source(node, 0))


def _sum(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    return reader.add("add", node, *(reader.source(node, slot) for slot in range(len(node.input))))


def _alias(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> int:
    return reader.source(node, 0)


TRANSLATORS: dict[str, Translator] = {
    "Conv": _conv, "Gemm": _gemm, "MatMul": _matmul, "BatchNormalization": _simple("batch_norm"),
    "LayerNormalization": _layer_norm, "MaxPool": _pool("max_pool"), "AveragePool": _pool("avg_pool"),
    "GlobalAveragePool": _global_pool, "ReduceMean": _mean, "Add": _arithmetic("add"), "Sub": _arithmetic("sub"),
    "Mul": _arithmetic("mul"), "Div": _arithmetic("div"), "Sum": _sum, "Concat": _concat, "Flatten": _flatten,
    "Reshape": _reshape, "Squeeze": _squeeze, "Transpose": _transpose, "Slice": _slice, "Pad": _pad, "Clip": _clip,
    "Softmax": _softmax, "LeakyRelu": _leaky, "Gelu": _gelu, "Relu": _simple("relu"), "Sigmoid": _simple("sigmoid"),
    "Tanh": _simple("tanh"), "HardSigmoid": _simple("hard_sigmoid"), "HardSwish": _simple("hard_swish"),
    "Identity": _alias, "Dropout": _alias,
}  # fmt: skip
"""Reads a node, adds what it computes to the reader's graph, and returns the index."""
