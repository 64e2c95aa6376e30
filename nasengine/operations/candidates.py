"""The vocabulary of candidate operations, each written once, as a graph of primitive operations.

DARTS: Liu, Simonyan and Yang, 2019, arXiv 1806.09055. NAS-Bench-201: Dong and Yang, 2020, arXiv 2001.00326.
S1-S4 (``noise``): Zela et al., 2020, arXiv 1909.09656.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from nasengine.errors import UnknownNameError
from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph, Shape


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a candidate stands.

    Args:
        input_shape: (channels, height, width) of its input.
        channels: channels of its output.
        stride: 1, or 2 in a reduction.
        affine: whether batch norms learn a scale and shift (not while searching, so that they cannot undo the
            architecture weights).
        pool_norm: whether a batch norm follows pools (while searching, in DARTS).
    """

    input_shape: Shape
    channels: int
    stride: int = 1
    affine: bool = True
    pool_norm: bool = False


Emitter = Callable[[GraphBuilder, int, Placement], int]


def _batch_norm(builder: GraphBuilder, source: int, place: Placement, name: str = "norm") -> int:
    return builder.add("batch_norm", source, name=name, **({} if place.affine else {"affine": False}))


def relu_conv_norm(builder: GraphBuilder, source: int, place: Placement, kernel: int) -> int:
    """ReLU, convolution, batch norm."""
    active = builder.add("relu", source, name="relu")
    conv = builder.add(
        "conv", active, name="conv", channels=place.channels, kernel=kernel, stride=place.stride, padding=kernel // 2
    )
    return _batch_norm(builder, conv, place)


def _separable_block(
    builder: GraphBuilder, source: int, place: Placement, *, kernel: int, stride: int, dilation: int, label: str
) -> int:
    """ReLU, depthwise convolution, pointwise convolution, batch norm."""
    active = builder.add("relu", source, name=f"relu{label}")
    width = builder.shape(active)[0]
    padding = dilation * (kernel - 1) // 2
    depthwise = builder.add(
        "conv", active, name=f"depthwise{label}",
        channels=width, kernel=kernel, stride=stride, padding=padding, dilation=dilation, groups=width,
    )  # fmt: skip
    channels = width if label == "1" else place.channels
    pointwise = builder.add("conv", depthwise, name=f"pointwise{label}", channels=channels)
    return _batch_norm(builder, pointwise, place, f"norm{label}")


def _separable(kernel: int) -> Emitter:
    def emit(builder: GraphBuilder, source: int, place: Placement) -> int:
        first = _separable_block(builder, source, place, kernel=kernel, stride=place.stride, dilation=1, label="1")
        return _separable_block(builder, first, place, kernel=kernel, stride=1, dilation=1, label="2")

    return emit


def _dilated(kernel: int) -> Emitter:
    def emit(builder: GraphBuilder, source: int, place: Placement) -> int:
        return _separable_block(builder, source, place, kernel=kernel, stride=place.stride, dilation=2, label="")

    return emit


def _pool(kind: str) -> Emitter:
    settings = {"count_include_pad": False} if kind == "avg_pool" else {}

    def emit(builder: GraphBuilder, source: int, place: Placement) -> int:
        pooled = builder.add(kind, source, name="pool", kernel=3, stride=place.stride, padding=1, **settings)
        return _batch_norm(builder, pooled, place) if place.pool_norm else pooled

    return emit


def _nor_conv(kernel: int) -> Emitter:
    return lambda builder, source, place: relu_conv_norm(builder, source, place, kernel)


def factorized_reduce(builder: GraphBuilder, source: int, place: Placement) -> int:
    """Halve the resolution by two strided 1x1 convolutions, one of them shifted by a pixel along both axes.

    Together they see the pixels whose row and column are both even or both odd. For odd sizes the shifted
    image is padded by one, so that both halves keep the same size.
    """
    active = builder.add("relu", source, name="relu")
    shifted = builder.add("crop", active, name="shift", offset=(1, 1))
    _, height, width = builder.shape(active)
    if height % 2 or width % 2:
        shifted = builder.add("pad", shifted, name="pad", pads=(0, height % 2, 0, width % 2))
    half = place.channels // 2
    even = builder.add("conv", active, name="conv_even", channels=half, stride=2)
    odd = builder.add("conv", shifted, name="conv_odd", channels=place.channels - half, stride=2)
    return _batch_norm(builder, builder.add("concat", even, odd, name="concat", axis=0), place)


def _skip(builder: GraphBuilder, source: int, place: Placement) -> int:
    if place.stride == 1:
        return builder.add("identity", source, name="identity")
    return factorized_reduce(builder, source, place)


def _none(builder: GraphBuilder, source: int, place: Placement) -> int:
    return builder.add("zero", source, name="zero", channels=place.channels, stride=place.stride)


def _noise(builder: GraphBuilder, source: int, place: Placement) -> int:
    return builder.add(
        "zero", source, name="noise", channels=place.channels, stride=place.stride, noise=True
    )  # standard normal values, whatever the input


CANDIDATES: dict[str, Emitter] = {
    "none": _none,
    "skip_connect": _skip,
    "max_pool_3x3": _pool("max_pool"),
    "avg_pool_3x3": _pool("avg_pool"),
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "dil_conv_3x3": _dilated(3),
    "dil_conv_5x5": _dilated(5),
    "nor_conv_1x1": _nor_conv(1),
    "nor_conv_3x3": _nor_conv(3),
    "noise": _noise,
}
"""Name of every candidate operation, as the papers print it, and how it is built."""


@lru_cache(maxsize=4096)
def candidate_body(name: str, place: Placement) -> ComputationGraph:
    """Graph of a candidate operation; equal placements share one graph.

    >>> candidate_body("nor_conv_3x3", Placement((16, 8, 8), channels=16)).names
    ('input', 'relu', 'conv', 'norm')
    """
    if name not in CANDIDATES:
        raise UnknownNameError("operation", name, CANDIDATES)
    return body_of(CANDIDATES[name], place)


def body_of(emitter: Emitter, place: Placement) -> ComputationGraph:
    """Run an emitter on a fresh graph with one input."""
    builder = GraphBuilder()
    return builder.build(emitter(builder, builder.input(place.input_shape), place))
