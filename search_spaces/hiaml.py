"""HiAML: four stages of two equal blocks, each stage one of 14 blocks (Mills et al., 2023, arXiv 2211.17226).

The blocks are those of the paper's released code: ReLU6 inside of them, ReLU after them.
``config.channels`` is the width of the stem (64 in the paper), ``config.cells`` the number of blocks of a stage.
"""

from collections.abc import Callable

from nasengine.gene_space import Genes, GeneSpace
from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import NetworkConfig
from search_spaces.pieces import classifier, conv_norm, factorized_conv

STAGES = ((1, 1), (2, 2), (2, 1), (4, 2))
"""Channels of each stage as a multiple of the stem's, and the stride of its first block."""


class _Block:
    """Draws one block; ``source`` is its input.

    The block's stride and width go to every operation whose input still has the shape of the block's input.
    """

    def __init__(self, builder: GraphBuilder, source: int, name: str, *, channels: int, stride: int) -> None:
        self.builder, self.source, self.name = builder, source, name
        self.channels, self.stride = channels, stride
        self._num_pieces = 0

    def conv(self, source: int, kernel: int) -> int:
        """Convolution and batch norm."""
        return self._conv(source, kernel, self.channels, self._stride(source))

    def active_conv(self, source: int, kernel: int) -> int:
        """Convolution, batch norm and ReLU6."""
        return self._conv(source, kernel, self.channels, self._stride(source), "relu6")

    def narrow_conv(self, kernel: int) -> int:
        """Convolution, batch norm and ReLU6 that keep the shape of the block's input."""
        return self._conv(self.source, kernel, self.builder.shape(self.source)[0], 1, "relu6")

    def split_conv(self, source: int) -> int:
        """1x3 and 3x1 convolutions, each with batch norm and ReLU6 (``inception_s`` in the paper)."""
        strides = (self._stride(source), 1)
        return factorized_conv(self.builder, source, self._next_name(), self.channels, 3, strides=strides)

    def shortcut(self) -> int:
        """The block's input, through a 1x1 convolution of its own where the block changes the shape."""
        keeps_shape = self.stride == 1 and self.builder.shape(self.source)[0] == self.channels
        return self.source if keeps_shape else self.conv(self.source, 1)

    def sum(self, *sources: int) -> int:
        """Sum of equal shapes."""
        return self.builder.add("add", *sources, name=self._next_name())

    def relu(self, source: int) -> int:
        """The end of every block."""
        return self.builder.add("relu", source, name=f"{self.name}/relu")

    def _conv(self, source: int, kernel: int, channels: int, stride: int, activation: str | None = None) -> int:
        return conv_norm(
            self.builder, source, self._next_name(), channels, kernel, stride=stride, activation=activation
        )

    def _stride(self, source: int) -> int:
        return self.stride if self.builder.shape(source) == self.builder.shape(self.source) else 1

    def _next_name(self) -> str:
        self._num_pieces += 1
        return f"{self.name}/{self._num_pieces}"


def _z(block: _Block) -> int:
    first = block.active_conv(block.source, 3)
    return block.sum(first, block.split_conv(first))


def _a22(block: _Block) -> int:
    first = block.active_conv(block.source, 3)
    return block.sum(first, block.conv(block.active_conv(first, 1), 1))


def _b23(block: _Block) -> int:
    return block.sum(block.shortcut(), block.split_conv(block.split_conv(block.source)))


def _j30(block: _Block) -> int:
    return block.sum(block.shortcut(), block.split_conv(block.active_conv(block.source, 3)))


def _g30(block: _Block) -> int:
    first = block.split_conv(block.source)
    second = block.split_conv(block.sum(block.shortcut(), first))
    return block.sum(first, block.conv(second, 1))


def _r30(block: _Block) -> int:
    first = block.split_conv(block.source)
    second = block.conv(block.sum(block.shortcut(), first), 1)
    return block.sum(block.shortcut(), second, block.split_conv(first))


def _l20(block: _Block) -> int:
    return block.conv(block.active_conv(block.source, 3), 1)


def _t20(block: _Block) -> int:
    return block.sum(block.conv(block.source, 1), block.split_conv(block.source))


def _t31(block: _Block) -> int:
    second = block.active_conv(block.split_conv(block.source), 1)
    third = block.split_conv(block.sum(block.shortcut(), second))
    return block.sum(block.shortcut(), second, third)


def _src0(block: _Block) -> int:
    first = block.active_conv(block.source, 1)
    return block.sum(first, block.conv(block.active_conv(first, 3), 3))


def _src1(block: _Block) -> int:
    return block.sum(block.active_conv(block.source, 1), block.conv(block.narrow_conv(3), 3))


def _src3(block: _Block) -> int:
    deep = block.active_conv(block.narrow_conv(1), 3)
    return block.sum(block.conv(block.source, 1), block.conv(deep, 1))


def _src7(block: _Block) -> int:
    first = block.conv(block.source, 1)
    return block.sum(first, block.split_conv(block.split_conv(first)))


def _src8(block: _Block) -> int:
    first = block.conv(block.source, 1)
    return block.sum(first, block.conv(block.split_conv(first), 1))


BLOCKS: dict[str, Callable[[_Block], int]] = {
    "z": _z, "a22": _a22, "b23": _b23, "j30": _j30, "g30": _g30, "r30": _r30, "l20": _l20, "t20": _t20, "t31": _t31,
    "src0": _src0, "src1": _src1, "src3": _src3, "src7": _src7, "src8": _src8,
}  # fmt: skip
"""What is inside each block, up to its last ReLU, under the paper's names."""


def _graph(genes: Genes, config: NetworkConfig) -> ComputationGraph:
    builder = GraphBuilder()
    image = builder.input(config.image_shape)
    last = conv_norm(builder, image, "stem", config.channels, 3, stride=2, activation="relu")
    for stage, (gene, (factor, stride)) in enumerate(zip(genes, STAGES, strict=True)):
        for index in range(config.cells):
            name = f"stages/{stage}/blocks/{index}"
            width = config.channels * factor
            block = _Block(builder, last, name, channels=width, stride=stride if index == 0 else 1)
            last = block.relu(BLOCKS[gene](block))
    return builder.build(classifier(builder, last, config.num_classes))


HIAML = GeneSpace(
    name="hiaml",
    title="HiAML, 4 stages of 14 blocks",
    paper="Mills et al., 2023, arXiv 2211.17226 (GENNAPE)",
    choices=(tuple(BLOCKS),) * len(STAGES),
    to_graph_of=_graph,
    defaults=NetworkConfig(channels=64, cells=2),
)
