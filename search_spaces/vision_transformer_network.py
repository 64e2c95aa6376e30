"""The networks of the vision transformer space (see vision_transformer.py): patches, equal blocks, and a head."""

from dataclasses import dataclass

from nasengine.errors import GraphError
from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import NetworkConfig


@dataclass(frozen=True, slots=True)
class TransformerSizes:
    """A genotype.

    Args:
        depth: blocks.
        width: values of a token (the embedding).
        heads: of each attention; each works on ``width / heads`` values.
        ratio: width inside of a perceptron, as a multiple of ``width``.
        patch: side in pixels of the square that becomes a token.
    """

    depth: int
    width: int
    heads: int
    ratio: int
    patch: int


def transformer_graph(sizes: TransformerSizes, config: NetworkConfig) -> ComputationGraph:
    """Every node of block ``i`` is named ``blocks/i/...``, and all blocks have the same operations.

    Raises:
        GraphError: the patches do not divide the images.
    """
    height, width = config.image_shape[1:]
    if height % sizes.patch or width % sizes.patch:
        raise GraphError(
            f"vision_transformer, patch={sizes.patch}: expected images whose sides are multiples of {sizes.patch} "
            f"pixels, got {height}x{width}; use another patch or other images"
        )
    builder = GraphBuilder()
    last = _tokens(builder, sizes, config)
    for index in range(sizes.depth):
        attended = _attention(builder, last, sizes.heads, f"blocks/{index}")
        last = _perceptron(builder, attended, sizes.ratio, f"blocks/{index}")
    last = builder.add("layer_norm", last, name="head/norm")
    last = builder.add("mean", last, name="head/pool", axes=(0,))
    return builder.build(builder.add("linear", last, name="head/classifier", features=config.num_classes, bias=True))


def _tokens(builder: GraphBuilder, sizes: TransformerSizes, config: NetworkConfig) -> int:
    """Patches as rows of (tokens, width), each with the learned embedding of its position."""
    conv = builder.add(
        "conv", builder.input(config.image_shape), name="patches/conv",
        channels=sizes.width, kernel=sizes.patch, stride=sizes.patch, bias=True,
    )  # fmt: skip
    _, rows, columns = builder.shape(conv)
    shape = (rows * columns, sizes.width)
    last = builder.add("transpose", conv, name="patches/channels_last", axes=(1, 2, 0))
    last = builder.add("reshape", last, name="patches/tokens", shape=shape)
    return builder.add("offset", last, name="positions", learned=True, parameter_shape=shape, initial_deviation=1.0)


def _attention(builder: GraphBuilder, source: int, heads: int, block: str) -> int:
    """Pre-norm attention; queries, keys and values have a linear layer each, so that no weight holds three things."""
    name, (tokens, width) = f"{block}/attention", builder.shape(source)
    normed = builder.add("layer_norm", source, name=f"{block}/norm1")

    def by_head(part: str, axes: tuple[int, int, int]) -> int:
        linear = builder.add("linear", normed, name=f"{name}/{part}", features=width, bias=True)
        shape = (tokens, heads, width // heads)
        split = builder.add("reshape", linear, name=f"{name}/{part}_heads", shape=shape)
        return builder.add("transpose", split, name=f"{name}/{part}_by_head", axes=axes)

    query, key, value = by_head("query", (1, 0, 2)), by_head("key", (1, 2, 0)), by_head("value", (1, 0, 2))
    last = builder.add("matmul", query, key, name=f"{name}/scores")
    last = builder.add("scale", last, name=f"{name}/scale", value=(width / heads) ** -0.5)
    last = builder.add("softmax", last, name=f"{name}/softmax", axis=2)
    last = builder.add("matmul", last, value, name=f"{name}/mixed")
    last = builder.add("transpose", last, name=f"{name}/by_token", axes=(1, 0, 2))
    last = builder.add("reshape", last, name=f"{name}/joined", shape=(tokens, width))
    last = builder.add("linear", last, name=f"{name}/projection", features=width, bias=True)
    return builder.add("add", last, source, name=f"{name}/sum")


def _perceptron(builder: GraphBuilder, source: int, ratio: int, block: str) -> int:
    """Two linear layers with a GELU between them, after a norm."""
    name, width = f"{block}/mlp", builder.shape(source)[-1]
    last = builder.add("layer_norm", source, name=f"{block}/norm2")
    last = builder.add("linear", last, name=f"{name}/hidden", features=ratio * width, bias=True)
    last = builder.add("gelu", last, name=f"{name}/gelu")
    last = builder.add("linear", last, name=f"{name}/projection", features=width, bias=True)
    return builder.add("add", last, source, name=f"{name}/sum")
