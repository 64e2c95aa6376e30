"""The networks of MobileNet spaces: resizing, stem, first block, stages of inverted residuals, head.

Names of nodes, under which weights are stored: ``stem``, ``first``, ``stages/2/blocks/0`` and ``head``. A block has
``expansion``, ``depthwise`` and ``projection``, each with ``conv`` and ``norm``, and, where it squeezes,
``squeeze/reduce`` and ``squeeze/expand``. Skipped blocks leave no node, and the others keep their numbers.
"""

from dataclasses import dataclass
from functools import lru_cache

from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import NetworkConfig
from search_spaces.mobilenet.genotype import InvertedResidual, MobileGenotype
from search_spaces.mobilenet.layout import MobileLayout, Stage, divisible, fitted
from search_spaces.pieces import Builder, conv_norm

SQUEEZE_RATIO = 4
"""Channels of a squeezed block over those between its two convolutions."""


def mobile_graph(layout: MobileLayout, genotype: MobileGenotype, config: NetworkConfig) -> ComputationGraph:
    """Computation graph of a genotype.

    Raises:
        GraphError: images that are too small.
    """
    found = fitted(layout, config)
    builder = GraphBuilder()
    last = add_stem(builder, found, builder.input(config.image_shape), genotype.resolution)
    for index, (stage, blocks) in enumerate(zip(found.stages, genotype.stages, strict=True)):
        for place, block in enumerate(blocks):
            if block is not None:
                stride = stage.stride if place == 0 else 1
                setting = BlockSetting(block, stage, stride)
                last = add_block(builder, last, setting, f"stages/{index}/blocks/{place}")
    return builder.build(add_head(builder, found, last, config.num_classes))


@dataclass(frozen=True, slots=True)
class BlockSetting:
    """A block, the stage that it stands in, and its stride."""

    block: InvertedResidual
    stage: Stage
    stride: int


@lru_cache(maxsize=4096)
def first_block(layout: MobileLayout) -> BlockSetting:
    """The block without choices after the stem: kernel 3, not widened, with the first stage's activation."""
    stage = Stage(layout.first_channels, 1, 1, layout.stages[0].activation)
    return BlockSetting(InvertedResidual(3, 1), stage, 1)


def add_stem(builder: Builder, layout: MobileLayout, image: int, resolution: int) -> int:
    """Images at the resolution, through the stem and the first block.

    Resizing is linear between pixels and part of the network, so that whoever feeds it need not know the resolution.
    """
    shape = layout.image_shape(builder.shape(image), resolution)
    last = image
    if shape != builder.shape(image):
        last = builder.add("resize", image, name="resize", sizes=shape[1:])
    last = conv_norm(
        builder, last, "stem", layout.stem_channels, 3, stride=layout.stem_stride, activation=layout.stem_activation
    )
    return add_block(builder, last, first_block(layout), "first")


def add_block(builder: Builder, source: int, setting: BlockSetting, name: str) -> int:
    """An inverted residual (Sandler et al., 2018, arXiv 1801.04381); the input is added where the shape stays."""
    block, stage, stride = setting.block, setting.stage, setting.stride
    inputs = builder.shape(source)[0]
    width = hidden_channels(inputs, block)
    last = source
    if block.expansion != 1:
        last = conv_norm(builder, last, f"{name}/expansion", width, 1, activation=stage.activation)
    last = conv_norm(
        builder, last, f"{name}/depthwise", width, block.kernel,
        stride=stride, groups=width, activation=stage.activation,
    )  # fmt: skip
    if stage.squeezes:
        last = _squeeze(builder, last, f"{name}/squeeze")
    last = conv_norm(builder, last, f"{name}/projection", stage.channels, 1)
    keeps_shape = stride == 1 and inputs == stage.channels
    return builder.add("add", last, source, name=f"{name}/sum") if keeps_shape else last


def hidden_channels(inputs: int, block: InvertedResidual) -> int:
    """Channels between the two 1x1 convolutions of a block."""
    return inputs if block.expansion == 1 else divisible(round(inputs * block.expansion))


def add_head(builder: Builder, layout: MobileLayout, source: int, num_classes: int) -> int:
    """A last convolution, global pooling, perhaps a linear layer, and the classifier."""
    last = conv_norm(builder, source, "head", layout.head_channels, 1, activation=layout.activation)
    last = builder.add("mean", last, name="head/pool", axes=(1, 2))
    if layout.feature_channels is not None:
        last = builder.add("linear", last, name="head/features", features=layout.feature_channels)
        last = builder.add(layout.activation, last, name="head/features_activation")
    return builder.add("linear", last, name="head/classifier", features=num_classes, bias=True)


def _squeeze(builder: Builder, source: int, name: str) -> int:
    """Channels times weights of their own, from 0 to 1, that depend on the means of all channels."""
    channels = builder.shape(source)[0]
    last = builder.add("mean", source, name=f"{name}/pool", axes=(1, 2), keepdim=True)
    reduced = divisible(channels // SQUEEZE_RATIO)
    last = builder.add("conv", last, name=f"{name}/reduce", channels=reduced, bias=True)
    last = builder.add("relu", last, name=f"{name}/relu")
    last = builder.add("conv", last, name=f"{name}/expand", channels=channels, bias=True)
    last = builder.add("hard_sigmoid", last, name=f"{name}/gate")
    return builder.add("mul", source, last, name=f"{name}/product")
