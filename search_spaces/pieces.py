"""Pieces that several spaces put their networks together from."""

from nasengine.graph.builder import GraphBuilder
from nasengine.graph.supergraph import SuperGraphBuilder

Pair = tuple[int, int]
Builder = GraphBuilder | SuperGraphBuilder


def conv_norm(
    builder: Builder,
    source: int,
    name: str,
    channels: int,
    kernel: int | Pair,
    *,
    stride: int | Pair = 1,
    groups: int = 1,
    bias: bool = False,
    activation: str | None = None,
) -> int:
    """Convolution that keeps the size at stride 1, batch norm and, where one is named, an activation.

    Returns:
        The node of the last of them.
    """
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    conv = builder.add(
        "conv", source, name=f"{name}/conv", channels=channels, kernel=(height, width), stride=stride,
        padding=(height // 2, width // 2), groups=groups, bias=bias,
    )  # fmt: skip
    last = builder.add("batch_norm", conv, name=f"{name}/norm")
    return last if activation is None else builder.add(activation, last, name=f"{name}/{activation}")


def pool_norm(builder: GraphBuilder, source: int, name: str, kind: str) -> int:
    """3x3 pooling of stride 1 that keeps the size, and a batch norm."""
    pool = builder.add(kind, source, name=f"{name}/pool", kernel=3, padding=1)
    return builder.add("batch_norm", pool, name=f"{name}/norm")


def classifier(builder: Builder, source: int, num_classes: int) -> int:
    """Global average pooling and a linear layer."""
    pooled = builder.add("mean", source, name="head/pool", axes=(1, 2))
    return builder.add("linear", pooled, name="head/classifier", features=num_classes, bias=True)


def factorized_conv(
    builder: GraphBuilder,
    source: int,
    name: str,
    channels: int,
    kernel: int,
    *,
    strides: tuple[int | Pair, int | Pair] = (1, 1),
    bias: bool = False,
) -> int:
    """A 1 x kernel and a kernel x 1 convolution, each with batch norm and ReLU6; ``strides`` are theirs."""
    row = conv_norm(
        builder, source, f"{name}/row", channels, (1, kernel), stride=strides[0], bias=bias, activation="relu6"
    )
    return conv_norm(
        builder, row, f"{name}/column", channels, (kernel, 1), stride=strides[1], bias=bias, activation="relu6"
    )
