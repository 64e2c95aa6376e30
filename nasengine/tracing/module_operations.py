"""How each operation of torch becomes primitives of our graphs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import fx

from nasengine.tracing.batch_layout import NotExpressibleError
from nasengine.tracing.graph_writer import Constant, Value

if TYPE_CHECKING:
    from nasengine.tracing.module import _Trace

Arguments = dict[str, Any]
Translator = Callable[["_Trace", fx.Node, Arguments], Any]


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(int(size) for size in node.meta["val"].shape)


def _source(trace: "_Trace", given: Arguments) -> Value:
    return trace.value(next(iter(given.values())))


def _pair(value: Any) -> tuple[int, int]:
    items = list(value) if isinstance(value, Sequence) else [value]
    return (int(items[0]), int(items[-1]))


def _stored(trace: "_Trace", item: object) -> Constant:
    found = trace.find(item)
    if not isinstance(found, Constant):
        raise NotExpressibleError(f"expected stored weights, got {item}")
    return found


def _conv(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    weight = _stored(trace, given["weight"]).shape
    if len(weight) != 4 or given.get("transposed"):
        raise NotExpressibleError(f"expected a two-dimensional convolution, got a weight of shape {weight}")
    padding, dilation = given["padding"], _pair(given["dilation"])
    if isinstance(padding, str):
        reach = [step * (size - 1) for step, size in zip(dilation, weight[2:], strict=True)]
        padding = [0, 0] if padding == "valid" else [size // 2 for size in reach]
    pads = _pair(padding) * 2
    if given["padding"] == "same":  # the odd pixel goes to the end
        pads = (*_pair(padding), reach[0] - padding[0], reach[1] - padding[1])
    return trace.writer.windows(
        "conv", trace.label(node), trace.value(given["input"]), channels=weight[0], kernel=_pair(weight[2:]),
        stride=_pair(given["stride"]), pads=pads, dilation=dilation, groups=int(given["groups"]),
        bias=given["bias"] is not None,
    )  # fmt: skip


def _linear(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    features = _stored(trace, given["weight"]).shape[0]
    return trace.writer.linear(trace.label(node), trace.value(given["input"]), features, given["bias"] is not None)


def _batch_norm(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    source = trace.value(given["input"])
    settings = {} if given["weight"] is not None else {"affine": False}
    return trace.writer.same("batch_norm", trace.label(node), replace(source, layout=source.layout.first()), **settings)


def _layer_norm(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    source, sizes = trace.value(given["input"]), tuple(given["normalized_shape"])
    source.layout.place(-len(sizes))
    settings = {} if given["weight"] is not None else {"affine": False}
    return trace.writer.same("layer_norm", trace.label(node), source, shape_normalized=sizes, **settings)


def _pool(kind: str) -> Translator:
    def translate(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
        kernel = _pair(given["kernel_size"])
        settings: Arguments = {"kernel": kernel, "stride": _pair(given["stride"] or kernel)}
        if given.get("ceil_mode"):
            settings["ceil_mode"] = True
        if kind == "max_pool":
            settings["dilation"] = _pair(given["dilation"])
        elif not given["count_include_pad"]:
            settings["count_include_pad"] = False
        if given.get("divisor_override") is not None:
            raise NotExpressibleError("expected average pooling without divisor_override")
        pads = _pair(given["padding"]) * 2
        return trace.writer.windows(kind, trace.label(node), _source(trace, given), pads=pads, **settings)

    return translate


def _adaptive_pool(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    source = _source(trace, given)
    height, width = source.shape[-2:]
    target = _pair([size or whole for size, whole in zip(given["output_size"], (height, width), strict=True)])
    if target == (1, 1):
        return trace.writer.mean(trace.label(node), source, (-2, -1), keepdim=True)
    if height % target[0] or width % target[1]:
        raise NotExpressibleError(f"expected adaptive pooling of {height}x{width} to sizes that divide it")
    kernel = (height // target[0], width // target[1])
    return trace.writer.windows("avg_pool", trace.label(node), source, kernel=kernel, stride=kernel)


def _mean(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    source = _source(trace, given)
    axes = given.get("dim") or range(1, len(source.shape))
    if "dim" not in given:
        raise NotExpressibleError("expected a mean over stated dimensions")
    return trace.writer.mean(trace.label(node), source, [int(axis) for axis in axes], bool(given["keepdim"]))


def _arithmetic(kind: str) -> Translator:
    neutral = "scale" if kind in ("mul", "div") else "offset"

    def translate(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
        left, right = list(given.values())[:2]
        if given.get("alpha") not in (None, 1) or given.get("rounding_mode"):
            raise NotExpressibleError(f"expected {kind} without alpha and rounding")
        first, second = trace.find(left), trace.find(right)
        if isinstance(first, Value) and isinstance(second, Value):
            return trace.writer.arithmetic(kind, trace.label(node), first, second)
        if not isinstance(first, Value):
            if kind in ("sub", "div"):
                raise NotExpressibleError(f"expected a tensor first in {kind}, got {left}")
            first, second, right = second, first, left
        if isinstance(second, Constant):
            return trace.writer.affine(neutral, trace.label(node), first, second)
        value = {"sub": -right, "div": 1 / right if right else math.nan}.get(kind, right)
        return trace.writer.same(neutral, trace.label(node), first, value=float(value))

    return translate


def _concat(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    return trace.writer.concat(trace.label(node), [trace.find(part) for part in given["tensors"]], int(given["dim"]))


def _flat(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    source = _source(trace, given)
    return trace.writer.reshape(trace.label(node), source, source.layout.reshaped(_shape(node)))


def _squeeze(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    source = _source(trace, given)
    axes = given.get("dim", range(len(source.shape)))
    wanted = [source.layout.counted(int(axis)) for axis in ([axes] if isinstance(axes, int) else axes)]
    layout = source.layout.removed([axis for axis in wanted if source.shape[axis] == 1])
    return trace.writer.reshape(trace.label(node), source, layout)


def _unsqueeze(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    source = _source(trace, given)
    return trace.writer.reshape(trace.label(node), source, source.layout.inserted([int(given["dim"])]))


def _transpose(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    source = _source(trace, given)
    order = [int(axis) for axis in given.get("dims") or range(len(source.shape))]
    if "dims" not in given:
        first, second = (0, 1) if "dim0" not in given else (int(given["dim0"]), int(given["dim1"]))
        order[first], order[second] = order[second], order[first]
    return trace.writer.transpose(trace.label(node), source, order)


def _slice(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    cut = slice(given["start"], given["end"], int(given["step"] or 1))
    return trace.writer.slice(trace.label(node), _source(trace, given), int(given["dim"]), cut)


def _narrow(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    cut = slice(int(given["start"]), int(given["start"]) + int(given["length"]))
    return trace.writer.slice(trace.label(node), _source(trace, given), int(given["dim"]), cut)


def _select(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    return trace.writer.select(trace.label(node), _source(trace, given), int(given["dim"]), int(given["index"]))


def _unbind(trace: "_Trace", node: fx.Node, given: Arguments) -> list[Value]:
    source, axis = _source(trace, given), int(given["dim"])
    size = source.shape[source.layout.counted(axis)]
    return [trace.writer.select(f"{node.name}/{index}", source, axis, index) for index in range(size)]


def _split(trace: "_Trace", node: fx.Node, given: Arguments) -> list[Value]:
    source, axis = _source(trace, given), int(given["dim"])
    sizes = [int(part.shape[axis]) for part in node.meta["val"]]
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    cuts = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    return [trace.writer.slice(f"{node.name}/{index}", source, axis, cut) for index, cut in enumerate(cuts)]


def _pad(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    pads = [int(size) for size in given["pad"]] + [0] * (4 - len(given["pad"]))
    left, right, top, bottom = pads[:4]
    if any(pads[4:]) or (given.get("value") or 0) != 0 or given.get("mode") not in (None, "constant"):
        raise NotExpressibleError("expected padding of rows and columns with zeros")
    return trace.writer.pad(trace.label(node), _source(trace, given), (top, bottom, left, right))


def _resize(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    if given.get("align_corners"):
        raise NotExpressibleError("expected resizing without align_corners")
    return trace.writer.resize(trace.label(node), _source(trace, given), _shape(node)[2:])


def _softmax(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    return trace.writer.softmax(trace.label(node), _source(trace, given), int(given["dim"]))


def _simple(kind: str) -> Translator:
    return lambda trace, node, given: trace.writer.same(kind, trace.label(node), _source(trace, given))


def _hardtanh(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    if (float(given["min_val"]), float(given["max_val"])) != (0.0, 6.0):
        raise NotExpressibleError("expected hardtanh between 0 and 6 (ReLU6)")
    return trace.writer.same("relu6", trace.label(node), _source(trace, given))


def _gelu(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    settings = {} if given["approximate"] == "none" else {"approximate": given["approximate"]}
    return trace.writer.same("gelu", trace.label(node), _source(trace, given), **settings)


def _leaky(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    slope = float(given["negative_slope"])
    return trace.writer.same("leaky_relu", trace.label(node), _source(trace, given), slope=slope)


def _matmul(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    left, right = list(given.values())[:2]
    weight = trace.find(right)
    if isinstance(weight, Constant):
        if len(weight.shape) != 2:
            raise NotExpressibleError(f"expected a matrix of weights, got shape {weight.shape}")
        return trace.writer.linear(trace.label(node), trace.value(left), weight.shape[1], bias=False)
    return trace.writer.matmul(trace.label(node), trace.value(left), trace.value(right))


def _attention(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    """A causal mask costs nothing and leaves no node."""
    if given.get("enable_gqa"):
        raise NotExpressibleError("expected as many heads in the keys as in the queries")
    query, key, value = (trace.value(given[name]) for name in ("query", "key", "value"))
    mask = trace.find(given["attn_mask"])
    return trace.writer.attention(trace.label(node), (query, key, value), given["scale"], mask)


def _zero(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    """Zeros of an image's shape keep the kind's own stride; zeros of other shapes state their sizes."""
    source = _source(trace, given)
    layout = replace(source.layout.first(), shape=_shape(node))
    if layout.shape[0] != layout.batch:
        raise NotExpressibleError(f"expected zeros for each image, got {layout.shape}")
    after, before = layout.image_shape, source.layout.image_shape
    if len(after) != 3 or len(before) != 3 or before[1] < after[1] or before[2] < after[2]:
        return trace.writer.add("zero", trace.label(node), [source], layout, sizes=after)
    stride = (before[1] // after[1], before[2] // after[2])
    return trace.writer.add("zero", trace.label(node), [source], layout, channels=after[0], stride=stride)


def _alias(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    return _source(trace, given)


def _expand(trace: "_Trace", node: fx.Node, given: Arguments) -> Value:
    source = _source(trace, given)
    if source.shape != _shape(node):
        raise NotExpressibleError(f"expected an expansion to {source.shape}, got {_shape(node)}")
    return source


TRANSLATORS: dict[str, Translator] = {
    "conv2d": _conv, "convolution": _conv, "linear": _linear, "batch_norm": _batch_norm, "layer_norm": _layer_norm,
    "max_pool2d": _pool("max_pool"), "avg_pool2d": _pool("avg_pool"), "adaptive_avg_pool2d": _adaptive_pool,
    "mean": _mean, "cat": _concat, "flatten": _flat, "view": _flat, "reshape": _flat, "unflatten": _flat,
    "_unsafe_view": _flat, "squeeze": _squeeze, "squeeze_": _squeeze, "unsqueeze": _unsqueeze, "unsqueeze_": _unsqueeze,
    "transpose": _transpose, "permute": _transpose, "t": _transpose, "slice": _slice, "select": _select,
    "narrow": _narrow,
    "unbind": _unbind, "split": _split, "split_with_sizes": _split, "chunk": _split, "pad": _pad,
    "constant_pad_nd": _pad, "upsample_bilinear2d": _resize,
    "softmax": _softmax, "_softmax": _softmax, "hardtanh": _hardtanh, "hardtanh_": _hardtanh,
    "gelu": _gelu, "leaky_relu": _leaky, "leaky_relu_": _leaky, "matmul": _matmul, "bmm": _matmul, "mm": _matmul,
    "scaled_dot_product_attention": _attention, "zeros_like": _zero, "new_zeros": _zero, "expand": _expand,
    **{f"{kind}{end}": _arithmetic(kind) for kind in ("add", "sub", "mul", "div") for end in ("", "_")},
    **dict.fromkeys(("dropout", "dropout_", "clone", "contiguous", "alias", "detach", "feature_dropout"), _alias),
    **{f"{kind}{end}": _simple(kind) for kind in ("relu", "relu6", "sigmoid", "tanh", "silu") for end in ("", "_")},
    **{f"{kind}{end}": _simple(f"{kind[:4]}_{kind[4:]}") for kind in ("hardsigmoid", "hardswish") for end in ("", "_")},
}  # fmt: skip
"""What to call for an operation, by its name in torch; the arguments come by name, tensors as nodes of the program."""
