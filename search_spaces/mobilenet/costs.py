"""Costs of genotypes without building their graphs: what a block costs depends on where it stands and on nothing else.

Blocks of a stage have equal outputs whatever is chosen, so each choice is costed once for each place and resolution,
and a network costs what its stem, blocks and head do. All of these are the graph's own counts.
"""

from dataclasses import dataclass
from functools import lru_cache

from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import Shape
from nasengine.graph.cost import cost
from nasengine.protocols import NetworkConfig
from search_spaces.mobilenet.genotype import InvertedResidual, MobileGenotype
from search_spaces.mobilenet.layout import MobileLayout, fitted
from search_spaces.mobilenet.network import BlockSetting, add_block, add_head, add_stem
from search_spaces.mobilenet.rules import blocks_of


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """Costs of one image, as in ``GraphCost``.

    Args:
        macs: multiply-accumulates.
        num_parameters: learned values.
    """

    macs: int
    num_parameters: int


class CostTable:
    """Costs of the genotypes of a layout, at one size of network.

    Args:
        layout: stages and choices.
        config: images, classes and width.

    Raises:
        GraphError: images that are too small.
    """

    def __init__(self, layout: MobileLayout, config: NetworkConfig) -> None:
        self._layout, self._config = fitted(layout, config), config
        self._ends: dict[int, NetworkCost] = {}
        self._blocks: dict[tuple[int, int, bool], dict[InvertedResidual, NetworkCost]] = {}
        for resolution in layout.resolutions:
            self._count(resolution)

    def of(self, genotype: MobileGenotype) -> NetworkCost:
        """Costs of a genotype, equal to those of its graph."""
        ends = self._ends[genotype.resolution]
        macs, num_parameters = ends.macs, ends.num_parameters
        for stage, blocks in enumerate(genotype.stages):
            for place, block in enumerate(blocks):
                if block is not None:
                    found = self._blocks[genotype.resolution, stage, place == 0][block]
                    macs, num_parameters = macs + found.macs, num_parameters + found.num_parameters
        return NetworkCost(macs, num_parameters)

    def _count(self, resolution: int) -> None:
        """Costs at a resolution: of stem and head, and of every choice as first and as other block of each stage."""
        layout, builder, choices = self._layout, GraphBuilder(), blocks_of(self._layout)
        last = add_stem(builder, layout, builder.input(self._config.image_shape), resolution)
        stem, shape = cost(builder.build(last)), builder.shape(last)
        for index, stage in enumerate(layout.stages):
            for is_first in (True, False):
                settings = [BlockSetting(block, stage, stage.stride if is_first else 1) for block in choices]
                costs = [_block_cost(setting, shape) for setting in settings]
                self._blocks[resolution, index, is_first] = {
                    block: found for block, (found, _) in zip(choices, costs, strict=True)
                }
                shape = costs[0][1]
        builder = GraphBuilder()
        head = cost(builder.build(add_head(builder, layout, builder.input(shape), self._config.num_classes)))
        self._ends[resolution] = NetworkCost(stem.macs + head.macs, stem.num_parameters + head.num_parameters)


@lru_cache(maxsize=65536)
def _block_cost(setting: BlockSetting, shape: Shape) -> tuple[NetworkCost, Shape]:
    """Costs of a block on an input of a shape, and the shape of its output."""
    builder = GraphBuilder()
    last = add_block(builder, builder.input(shape), setting, "block")
    found = cost(builder.build(last))
    return NetworkCost(found.macs, found.num_parameters), builder.shape(last)


@lru_cache(maxsize=32)
def cost_table(layout: MobileLayout, config: NetworkConfig) -> CostTable:
    """The table of a layout at one size; equal sizes share one, which nobody changes."""
    return CostTable(layout, config)


def smallest_genotype(layout: MobileLayout) -> MobileGenotype:
    """The genotype with the fewest multiply-accumulates and the fewest parameters at once.

    Both are sums over blocks of counts above 0, so fewer blocks cost less. A block's counts are sums of products of its
    width, the square of its kernel and pixels; the width never falls as the expansion rises, and output shapes depend
    on the resolution alone. Hence each choice is best at its least, whatever the others are.
    """
    block, optional = InvertedResidual(layout.kernels[0], layout.expansions[0]), layout.min_blocks
    stages = (
        (block, *(None,) * (stage.num_blocks - 1)) if optional is None else (block,) * optional
        for stage in layout.stages
    )
    return MobileGenotype(tuple(stages), layout.resolutions[0])


def largest_genotype(layout: MobileLayout) -> MobileGenotype:
    """The genotype with the most multiply-accumulates and parameters, for the reason in ``smallest_genotype``."""
    block = InvertedResidual(layout.kernels[-1], layout.expansions[-1])
    return MobileGenotype(tuple((block,) * stage.num_blocks for stage in layout.stages), layout.resolutions[-1])
