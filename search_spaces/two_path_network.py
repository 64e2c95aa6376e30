"""The networks of the Two-Path space (see two_path.py): two chains of blocks, and their operations."""

from dataclasses import dataclass

from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import NetworkConfig
from search_spaces.operation_sequences import Operations, OperationSequences
from search_spaces.pieces import classifier, conv_norm, factorized_conv, pool_norm

KERNELS = {"conv1x1": 1, "conv3x3": 3, "conv5x5": 5}
PAIRS = {
    "double3x3": (3, 1.0), "bottleneck-r2-k3": (3, 0.5), "bottleneck-r4-k3": (3, 0.25), "bottleneck-e2-k3": (3, 2.0),
    "bottleneck-r2-k1": (1, 0.5), "bottleneck-e2-k1": (1, 2.0),
}  # fmt: skip
"""Kernel of two convolutions, and the width between them as a multiple of the input's."""
FACTORIZED = {"inception_s3x3": 3, "inception_s5x5": 5}
POOLS = {"avgpool3x3": "avg_pool", "maxpool3x3": "max_pool"}

SEQUENCES = OperationSequences(
    main=("conv3x3", "double3x3", "conv5x5", "bottleneck-r2-k3", "bottleneck-r4-k3", "bottleneck-e2-k3", *FACTORIZED),
    supporting=("conv1x1", "bottleneck-r2-k1", "bottleneck-e2-k1", *POOLS),
)
HEAD_FACTOR = 16


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """Operations in a row; ``reduces`` where the first main one has stride 2 and doubles the channels."""

    operations: Operations
    reduces: bool = False


Path = tuple[Block, ...]
Paths = tuple[Path, ...]


def two_path_graph(paths: Paths, config: NetworkConfig) -> ComputationGraph:
    """Stem, two paths side by side and head; no convolution has a bias, and every activation is a ReLU6."""
    builder = GraphBuilder()
    image = builder.input(config.image_shape)
    first = conv_norm(builder, image, "stem/0", config.channels, 3, activation="relu6")
    stem = conv_norm(builder, first, "stem/1", config.channels, 3, stride=2, activation="relu6")
    ends = []
    for path_index, path in enumerate(paths):
        last = stem
        for index, block in enumerate(path):
            last = _block(builder, last, block, f"paths/{path_index}/blocks/{index}")
        ends.append(last)
    joined = builder.add("concat", *ends, name="head/concat", axis=0)
    last = conv_norm(builder, joined, "head", HEAD_FACTOR * config.channels, 3, activation="relu6")
    return builder.build(classifier(builder, last, config.num_classes))


def _block(builder: GraphBuilder, source: int, block: Block, name: str) -> int:
    """The operations one after another, and the input added where the shape stays."""
    last = source
    place = next(index for index, operation in enumerate(block.operations) if operation in SEQUENCES.main)
    for index, operation in enumerate(block.operations):
        stride = 2 if block.reduces and index == place else 1
        last = _operation(builder, last, operation, f"{name}/{index}", stride=stride)
    return last if block.reduces else builder.add("add", last, source, name=f"{name}/sum")


def _operation(builder: GraphBuilder, source: int, operation: str, name: str, *, stride: int) -> int:
    """One operation, which multiplies the channels by its stride."""
    width = builder.shape(source)[0]
    if operation in POOLS:
        return pool_norm(builder, source, name, POOLS[operation])
    if operation in FACTORIZED:
        return factorized_conv(builder, source, name, width * stride, FACTORIZED[operation], strides=(stride, 1))
    if operation in KERNELS:
        kernel = KERNELS[operation]
        return conv_norm(builder, source, name, width * stride, kernel, stride=stride, activation="relu6")
    kernel, ratio = PAIRS[operation]
    hidden = max(1, int(width * ratio))
    inner = conv_norm(builder, source, f"{name}/first", hidden, kernel, stride=stride, activation="relu6")
    return conv_norm(builder, inner, f"{name}/second", width * stride, kernel, activation="relu6")
