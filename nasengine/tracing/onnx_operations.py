"""How each operator of ONNX becomes primitives of our graphs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy
import onnx

from nasengine.errors import GraphError
from nasengine.tracing.batch_layout import NotExpressibleError
from nasengine.tracing.graph_writer import Constant, Value

if TYPE_CHECKING:
    from nasengine.tracing.onnx_reader import OnnxReader

Settings = dict[str, Any]
Translator = Callable[["OnnxReader", onnx.NodeProto, Settings], Any]


def _window(settings: Settings, kernel: Sequence[int], shape: Sequence[int]) -> Settings:
    """Kernel, stride, dilation and pads (top, left, bottom, right) of a window over the last two dimensions."""
    if len(kernel) != 2 or len(shape) != 4:
        raise NotExpressibleError(f"expected a two-dimensional window, got one of {kernel} over {shape}")
    stride = tuple(settings.get("strides", (1, 1)))
    dilation = tuple(settings.get("dilations", (1, 1)))
    pads = tuple(settings.get("pads", (0, 0, 0, 0)))
    if any(number < 1 for number in (*kernel, *stride, *dilation)) or not len(stride) == len(dilation) == 2:
        raise GraphError(f"expected kernel, stride, dilation and groups of at least 1, got {kernel} and {settings}")
    auto = settings.get("auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        total = [
            max(0, (-(-size // step) - 1) * step + rate * (length - 1) + 1 - size)
            for size, step, rate, length in zip(shape[2:], stride, dilation, kernel, strict=True)
        ]
        less, more = [amount // 2 for amount in total], [amount - amount // 2 for amount in total]
        pads = (*less, *more) if auto == b"SAME_UPPER" else (*more, *less)
    if len(pads) != 4 or any(pad < 0 for pad in pads):
        raise NotExpressibleError(f"expected four pads of at least 0, got {pads}")
    return {"kernel": tuple(kernel), "stride": stride, "dilation": dilation, "pads": pads}


def _conv(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source, weight = reader.source(node, 0), reader.weight(node, 1).shape
    window = _window(settings, weight[2:], source.shape)
    groups = int(settings.get("group", 1))
    if groups < 1 or weight[1] * groups != source.layout.first().shape[1]:
        raise GraphError(
            "expected kernel, stride, dilation and groups of at least 1, and a weight for all channels, "
            f"got {groups} groups, a weight of shape {weight} and an input of {source.shape}"
        )
    return reader.writer.windows(
        "conv", reader.label(node), source, channels=weight[0], groups=groups, bias=reader.has(node, 2), **window
    )


def _gemm(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source, bias = reader.source(node, 0), reader.find(node, 2)
    if settings.get("transA") or len(source.shape) != 2 or isinstance(bias, Value):
        raise NotExpressibleError("expected a matrix of images that is not transposed, and a stored bias")
    return _dense(reader, node, source, reader.weight(node, 1).shape[:: -1 if settings.get("transB") else 1])


def _dense(reader: "OnnxReader", node: onnx.NodeProto, source: Value, weight: Sequence[int]) -> Value:
    if len(weight) != 2:
        raise NotExpressibleError(f"expected a matrix of weights, got shape {weight}")
    if weight[0] != source.shape[-1]:
        raise GraphError(f"expected a weight for {source.shape[-1]} features, got shape {weight}")
    return reader.writer.linear(reader.label(node), source, weight[1], reader.has(node, 2))


def _matmul(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    left, right = reader.source(node, 0), reader.find(node, 1)
    if isinstance(right, Constant):
        return _dense(reader, node, left, right.shape)
    return reader.writer.matmul(reader.label(node), left, reader.source(node, 1))


def _batch_norm(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source = reader.source(node, 0)
    return reader.writer.same("batch_norm", reader.label(node), replace(source, layout=source.layout.first()))


def _pool(kind: str) -> Translator:
    def translate(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
        source = reader.source(node, 0)
        window = _window(settings, tuple(settings["kernel_shape"]), source.shape)
        if settings.get("ceil_mode"):
            window["ceil_mode"] = True
        if kind == "avg_pool" and not settings.get("count_include_pad", 0) and any(window["pads"]):
            window["count_include_pad"] = False
        return reader.writer.windows(kind, reader.label(node), source, **window)

    return translate


def _global_pool(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source = reader.source(node, 0)
    return reader.writer.mean(reader.label(node), source, range(2, len(source.shape)), keepdim=True)


def _axes(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> list[int] | None:
    if reader.has(node, 1):
        return [int(axis) for axis in reader.numbers(node, 1)]
    return [int(axis) for axis in settings["axes"]] if "axes" in settings else None


def _mean(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source, axes = reader.source(node, 0), _axes(reader, node, settings)
    keep = bool(settings.get("keepdims", 1))
    return reader.writer.mean(reader.label(node), source, axes or range(len(source.shape)), keep)


def _arithmetic(kind: str) -> Translator:
    neutral = "scale" if kind in ("mul", "div") else "offset"

    def translate(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
        left, right = reader.find(node, 0), reader.find(node, 1)
        if isinstance(left, Value) and isinstance(right, Value):
            return reader.writer.arithmetic(kind, reader.label(node), left, right)
        if isinstance(left, Constant):
            if kind in ("sub", "div"):
                raise NotExpressibleError("expected a tensor before a number")
            left, right = right, left
        if not isinstance(left, Value) or not isinstance(right, Constant):
            raise GraphError("expected two inputs")
        values = right.values
        if values is None or values.size != 1 or len(right.shape) > len(left.shape):
            return reader.writer.affine(neutral, reader.label(node), left, right)
        number = float(values.reshape(-1)[0])
        value = {"sub": -number, "div": 1 / number if number else math.nan}.get(kind, number)
        return reader.writer.same(neutral, reader.label(node), left, value=float(value))

    return translate


def _sum(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    total = reader.source(node, 0)
    for slot in range(1, len(node.input)):
        total = reader.writer.arithmetic("add", reader.label(node), total, reader.source(node, slot))
    return total


def _concat(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    parts = [reader.find(node, slot) for slot in range(len(node.input))]
    return reader.writer.concat(reader.label(node), [part for part in parts if part is not None], int(settings["axis"]))


def _flatten(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source, axis = reader.source(node, 0), int(settings.get("axis", 1))
    rank = len(source.shape)
    if not -rank <= axis <= rank:
        raise GraphError(f"expected an axis between {-rank} and {rank}, got {axis}")
    place = axis + rank if axis < 0 else axis
    shape = (math.prod(source.shape[:place]), math.prod(source.shape[place:]))
    return reader.writer.reshape(reader.label(node), source, source.layout.reshaped(shape))


def _reshape(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source = reader.source(node, 0)
    target = [int(size) for size in (settings.get("shape") or reader.numbers(node, 1))]
    if not settings.get("allowzero"):
        target = [size or source.shape[place] for place, size in enumerate(target)]
    if any(size < -1 or size == 0 for size in target) or target.count(-1) > 1:
        raise GraphError(f"expected sizes, at most one of them left open, got {target}")
    known = math.prod(size for size in target if size != -1)
    shape = tuple(math.prod(source.shape) // known if size == -1 else size for size in target)
    return reader.writer.reshape(reader.label(node), source, source.layout.reshaped(shape))


def _squeeze(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source, axes = reader.source(node, 0), _axes(reader, node, settings)
    if axes is None:
        axes = [axis for axis, size in enumerate(source.shape) if size == 1]
    return reader.writer.reshape(reader.label(node), source, source.layout.removed(axes))


def _unsqueeze(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source = reader.source(node, 0)
    layout = source.layout.inserted(_axes(reader, node, settings) or [])
    return reader.writer.reshape(reader.label(node), source, layout)


def _transpose(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source = reader.source(node, 0)
    order = settings.get("perm") or range(len(source.shape))[::-1]
    return reader.writer.transpose(reader.label(node), source, [int(axis) for axis in order])


def _slice(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    value = reader.source(node, 0)
    given = [
        settings[name] if name in settings else reader.numbers(node, slot) if reader.has(node, slot) else None
        for slot, name in enumerate(("starts", "ends", "axes", "steps"), start=1)
    ]
    starts, ends, axes, steps = given
    if starts is None or ends is None:
        raise GraphError("expected starts and ends")
    axes = list(range(len(starts))) if axes is None else axes
    for start, end, axis, step in zip(starts, ends, axes, steps or [1] * len(starts), strict=True):
        value = reader.writer.slice(reader.label(node), value, int(axis), slice(int(start), int(end), int(step)))
    return value


def _split(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> list[Value]:
    source, axis = reader.source(node, 0), int(settings.get("axis", 0))
    size, parts = source.shape[source.layout.counted(axis)], len(node.output)
    sizes = settings.get("split") or (reader.numbers(node, 1) if reader.has(node, 1) else None)
    if sizes is None:
        part = -(-size // parts)
        sizes = [part] * (parts - 1) + [size - part * (parts - 1)]
    if len(sizes) != parts or sum(sizes) != size or min(sizes) < 1:
        raise GraphError(f"expected {parts} sizes that sum up to {size}, got {sizes}")
    ends = numpy.cumsum(sizes).tolist()
    cuts = [slice(int(end) - int(part), int(end)) for end, part in zip(ends, sizes, strict=True)]
    label = reader.label(node)
    return [reader.writer.slice(label, source, axis, cut) for cut in cuts]


def _gather(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    indices = reader.numbers(node, 1)
    if len(indices) != 1 or reader.weight(node, 1).shape:
        raise NotExpressibleError("expected one position")
    axis = int(settings.get("axis", 0))
    return reader.writer.select(reader.label(node), reader.source(node, 0), axis, int(indices[0]))


def _expand(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source = reader.source(node, 0)
    sizes = [int(size) for size in reader.numbers(node, 1)]
    if tuple(numpy.broadcast_shapes(source.shape, tuple(sizes))) != source.shape:
        raise NotExpressibleError(f"expected an expansion to {source.shape}, got {sizes}")
    return source


def _shape(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Constant:
    sizes = reader.source(node, 0).shape[slice(settings.get("start"), settings.get("end"))]
    return Constant((len(sizes),), 0, numpy.array(sizes, dtype=numpy.int64))


def _pad(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source, rank = reader.source(node, 0), len(reader.source(node, 0).shape)
    pads = [int(size) for size in settings.get("pads") or reader.numbers(node, 1)]
    if reader.has(node, 3):
        axes = [source.layout.counted(int(axis)) for axis in reader.numbers(node, 3)]
        given = dict(zip([*axes, *(axis + rank for axis in axes)], pads, strict=True))
        pads = [given.get(axis, 0) for axis in range(2 * rank)]
    value = (reader.numbers(node, 2) or [0])[0] if reader.has(node, 2) else settings.get("value", 0)
    if settings.get("mode", b"constant") != b"constant" or value != 0 or len(pads) != 8 or min(pads) < 0:
        raise NotExpressibleError(f"expected padding of rows and columns with zeros, got {pads}")
    if not any(pads):
        return source
    if any((*pads[:2], *pads[4:6])):
        raise NotExpressibleError(f"expected padding of rows and columns, got {pads}")
    return reader.writer.pad(reader.label(node), source, (pads[2], pads[6], pads[3], pads[7]))


def _resize(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    """Linear, by the centres of pixels, to stated sizes; factors are stored as weights are, and not read."""
    source, rank = reader.source(node, 0), len(reader.source(node, 0).shape)
    place = settings.get("coordinate_transformation_mode", b"half_pixel")
    is_plain = not settings.get("antialias") and settings.get("keep_aspect_ratio_policy", b"stretch") == b"stretch"
    if settings.get("mode") != b"linear" or place not in (b"half_pixel", b"pytorch_half_pixel") or not is_plain:
        raise NotExpressibleError(f"expected plain linear resizing by the centres of pixels, got {settings}")
    axes = [source.layout.counted(int(axis)) for axis in settings.get("axes", range(rank))]
    after = list(source.shape)
    for axis, size in zip(axes, reader.numbers(node, 3), strict=True):
        after[axis] = int(size)
    if tuple(after[:2]) != source.shape[:2]:
        raise NotExpressibleError(f"expected rows and columns to be resized, got {source.shape} to {after}")
    return reader.writer.resize(reader.label(node), source, after[2:])


def _clip(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    low, high = (
        settings.get(name, reader.numbers(node, slot)[0] if reader.has(node, slot) else None)
        for slot, name in enumerate(("min", "max"), start=1)
    )
    if low != 0 or not (high is None or high == 6 or high > 1e30):
        raise NotExpressibleError(f"expected a clip to 0..6 (ReLU6) or 0.. (ReLU), got {low}..{high}")
    return reader.writer.same("relu6" if high == 6 else "relu", reader.label(node), reader.source(node, 0))


def _softmax(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    axis = int(settings.get("axis", -1 if reader.opset >= 13 or not reader.opset else 1))
    return reader.writer.softmax(reader.label(node), reader.source(node, 0), axis)


def _layer_norm(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    source, sizes = reader.source(node, 0), reader.weight(node, 1).shape
    if sizes != source.shape[len(source.shape) - len(sizes) :]:
        raise NotExpressibleError(f"expected weights for the last dimensions of {source.shape}, got {sizes}")
    source.layout.place(-len(sizes))
    return reader.writer.same("layer_norm", reader.label(node), source, shape_normalized=sizes)


def _attention(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    """On (batch, heads, tokens, width), without a cache of earlier keys; a causal mask leaves no node."""
    query, key, value = (reader.source(node, slot) for slot in range(3))
    if len(query.shape) != 4 or settings.get("softcap") or any(reader.has(node, slot) for slot in (4, 5, 6)):
        raise NotExpressibleError("expected attention on four dimensions without softcap and cache")
    return reader.writer.attention(reader.label(node), (query, key, value), settings.get("scale"), reader.find(node, 3))


def _leaky(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    slope = float(settings.get("alpha", 0.01))
    return reader.writer.same("leaky_relu", reader.label(node), reader.source(node, 0), slope=slope)


def _gelu(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    kind = settings.get("approximate", b"none").decode()
    more = {} if kind == "none" else {"approximate": kind}
    return reader.writer.same("gelu", reader.label(node), reader.source(node, 0), **more)


def _simple(kind: str) -> Translator:
    return lambda reader, node, settings: reader.writer.same(kind, reader.label(node), reader.source(node, 0))


def _alias(reader: "OnnxReader", node: onnx.NodeProto, settings: Settings) -> Value:
    return reader.source(node, 0)


TRANSLATORS: dict[str, Translator] = {
    "Conv": _conv, "Gemm": _gemm, "MatMul": _matmul, "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm, "MaxPool": _pool("max_pool"), "AveragePool": _pool("avg_pool"),
    "GlobalAveragePool": _global_pool, "ReduceMean": _mean, "Add": _arithmetic("add"), "Sub": _arithmetic("sub"),
    "Mul": _arithmetic("mul"), "Div": _arithmetic("div"), "Sum": _sum, "Concat": _concat, "Flatten": _flatten,
    "Reshape": _reshape, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Transpose": _transpose, "Slice": _slice,
    "Split": _split, "Gather": _gather, "Expand": _expand, "Shape": _shape, "Pad": _pad, "Clip": _clip,
    "Resize": _resize, "Softmax": _softmax, "LeakyRelu": _leaky, "Gelu": _gelu, "Relu": _simple("relu"),
    "Sigmoid": _simple("sigmoid"), "Tanh": _simple("tanh"), "HardSigmoid": _simple("hard_sigmoid"),
    "HardSwish": _simple("hard_swish"), "Attention": _attention, "Swish": _simple("silu"), "Identity": _alias,
    "Dropout": _alias, "Cast": _alias,
}  # fmt: skip
"""Reads a node, adds what it computes, and returns the value or, for several outputs, the list of values."""
