"""Output shapes of primitive operations, and the list of the kinds that there are.

Shapes leave the batch dimension out. A rule takes the input shapes and the settings of the operation and returns the
output shape; it raises GraphError where the operation cannot be applied.
"""

import math
from collections.abc import Callable
from typing import Any

from nasengine.errors import GraphError

Shape = tuple[int, ...]
Settings = dict[str, Any]


def _window(shape: Shape, settings: Settings, channels: int) -> Shape:
    """Sliding window of a convolution or pool over (channels, height, width)."""
    if len(shape) != 3:
        raise GraphError(f"window operation: expected an input of (channels, height, width), got {shape}")
    sizes = []
    for axis in (0, 1):
        reach = settings["dilation"][axis] * (settings["kernel"][axis] - 1) + 1
        free = shape[1 + axis] + 2 * settings["padding"][axis] - reach
        if free < 0:
            raise GraphError(
                f"window operation: expected at least {reach} pixels along axis {axis}, "
                f"got {shape[1 + axis]} with padding {settings['padding'][axis]}; use larger images or fewer reductions"
            )
        stride = settings["stride"][axis]
        steps = -(-free // stride) if settings.get("ceil_mode") else free // stride
        if settings.get("ceil_mode") and steps * stride >= shape[1 + axis] + settings["padding"][axis]:
            steps -= 1  # torch's rule: the last window must start inside the image or its left padding
        sizes.append(steps + 1)
    return (channels, *sizes)


def _conv(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    channels, groups = settings["channels"], settings["groups"]
    if shapes[0][0] % groups or channels % groups:
        raise GraphError(f"conv: expected channels divisible by {groups} groups, got {shapes[0][0]} -> {channels}")
    return _window(shapes[0], settings, channels)


def _pool(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    return _window(shapes[0], settings, shapes[0][0])


def _same(shapes: tuple[Shape, ...], _: Settings) -> Shape:
    return shapes[0]


def broadcast(shapes: tuple[Shape, ...], _: Settings) -> Shape:
    """Common shape of element-wise arithmetic, by numpy's rule on batch-less shapes of one rank."""
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = tuple(max(sizes) for sizes in zip(*padded, strict=True))
    if any(size not in (1, whole) for shape in padded for size, whole in zip(shape, result, strict=True)):
        raise GraphError(f"arithmetic: expected shapes that agree, got {shapes}")
    return result


def _concat(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    axis = settings["axis"]
    rest = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    if len(rest) != 1:
        raise GraphError(f"concat: expected shapes equal outside axis {axis}, got {shapes}")
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


def _crop(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    (channels, height, width), (top, left) = shapes[0], settings["offset"]
    return channels, height - top, width - left


def _truncate(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    if not 1 <= settings["channels"] <= shapes[0][0]:
        raise GraphError(f"truncate: expected 1 to {shapes[0][0]} channels, got {settings['channels']}")
    return settings["channels"], *shapes[0][1:]


def _pad(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    (channels, height, width), (top, bottom, left, right) = shapes[0], settings["pads"]
    return channels, height + top + bottom, width + left + right


def _slice(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    axis, start, size, step = (int(settings[name]) for name in ("axis", "start", "size", "step"))
    if not 0 <= axis < len(shapes[0]) or start < 0 or step < 1 or size < 1:
        raise GraphError(f"slice: expected axis, start, size and step that fit {shapes[0]}, got {settings}")
    if start + (size - 1) * step >= shapes[0][axis]:
        raise GraphError(f"slice: expected at most {shapes[0][axis]} values along axis {axis}, got {settings}")
    return (*shapes[0][:axis], size, *shapes[0][axis + 1 :])


def _given(_: tuple[Shape, ...], settings: Settings) -> Shape:
    return tuple(settings["shape"])


def _zero(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    if "sizes" in settings:
        return tuple(settings["sizes"])
    channels, height, width = shapes[0]
    step_y, step_x = settings["stride"]
    return settings.get("channels", channels), -(-height // step_y), -(-width // step_x)


def _resize(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    sizes = tuple(map(int, settings["sizes"]))
    if len(shapes[0]) != 3 or len(sizes) != 2:
        raise GraphError(f"resize: expected (channels, height, width) and two sizes, got {shapes[0]} and {sizes}")
    return shapes[0][0], *sizes


def _flatten(shapes: tuple[Shape, ...], _: Settings) -> Shape:
    return (math.prod(shapes[0]),)


def _reshape(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    if math.prod(settings["shape"]) != math.prod(shapes[0]):
        raise GraphError(f"reshape: expected {math.prod(shapes[0])} values, got shape {settings['shape']}")
    return tuple(settings["shape"])


def _transpose(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    return tuple(shapes[0][axis] for axis in settings["axes"])


def _mean(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    axes, keep = settings["axes"], settings.get("keepdim", False)
    return tuple(1 if axis in axes else size for axis, size in enumerate(shapes[0]) if keep or axis not in axes)


def _linear(shapes: tuple[Shape, ...], settings: Settings) -> Shape:
    return (*shapes[0][:-1], settings["features"])


def _matmul(shapes: tuple[Shape, ...], _: Settings) -> Shape:
    left, right = shapes
    if left[-1] != right[-2]:
        raise GraphError(f"matmul: expected inner sizes that agree, got {left} and {right}")
    return (*left[:-1], right[-1])


ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hard_sigmoid", "hard_swish", "softmax",
)  # fmt: skip

ShapeRule = Callable[[tuple[Shape, ...], Settings], Shape]

KINDS: dict[str, ShapeRule] = {
    "conv": _conv,
    "linear": _linear,
    "matmul": _matmul,
    "batch_norm": _same,
    "layer_norm": _same,
    "max_pool": _pool,
    "avg_pool": _pool,
    "mean": _mean,
    "add": broadcast,
    "sub": broadcast,
    "mul": broadcast,
    "div": broadcast,
    "scale": _same,
    "offset": _same,
    "mix": broadcast,
    "concat": _concat,
    "identity": _same,
    "zero": _zero,
    "crop": _crop,
    "truncate": _truncate,
    "pad": _pad,
    "flatten": _flatten,
    "reshape": _reshape,
    "transpose": _transpose,
    **dict.fromkeys(ACTIVATIONS, _same),
    "slice": _slice,
    "resize": _resize,
    "other": _given,
}
"""Shape rule of every primitive operation. ``input`` has none: its shape is given.

``scale`` and ``offset`` multiply by, or add, a learned or fixed value; ``mix`` is the weighted sum on a supernet edge;
``truncate`` keeps the first channels; ``zero`` has the shape ``sizes`` where that is given; ``slice`` keeps ``size``
values along an axis, ``step`` apart; ``resize`` brings images to ``sizes``, linear between pixels. ``other`` is
whatever a tracer met and did not know: its attribute ``operator`` says what, its shape is given, and it has
``num_parameters`` learned values.
"""
