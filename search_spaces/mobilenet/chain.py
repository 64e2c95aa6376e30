"""MobileNet spaces without elastic parts as chains of candidates, with a supergraph: supernets, splits and selection.

Each place of a stage is a layer whose candidates are its blocks and, but for the first of a stage, none at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from nasengine.architecture import Architecture
from nasengine.cells import CellTopology
from nasengine.chain_space import LAYER
from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph, Shape
from nasengine.graph.supergraph import Selection, SuperGraph, SuperGraphBuilder
from nasengine.protocols import NetworkConfig, SearchScale
from search_spaces.mobilenet.genotype import MobileGenotype, format_block
from search_spaces.mobilenet.layout import MobileLayout, fitted, stage_list
from search_spaces.mobilenet.network import BlockSetting, add_block, add_head, add_stem
from search_spaces.mobilenet.rules import Block, MobileRules
from search_spaces.mobilenet.space import IMAGENET, MobileSpace, rules_of
from search_spaces.scales import FULL, QUICK, STANDARD, SUPERNET

Place = tuple[int, int]


@dataclass(frozen=True)
class MobileChain(MobileSpace):
    """A MobileSpace with SupportsSupernet.

    Args:
        scales: what the budgets ``quick``, ``standard`` and ``full`` mean in this space.
        part: candidates of each place in a part of the space; None for all.
    """

    scales: Mapping[str, SearchScale] = field(default_factory=dict, hash=False)
    part: Selection | None = field(default=None, hash=False)

    @property
    def topology(self) -> CellTopology:
        """The chain as a cell whose nodes read the node before them."""
        names = tuple(tuple(map(format_block, known)) for known in _choices(self.layout).values())
        return CellTopology(1, len(names), {LAYER: names}, allowed=self.part, reach=1)

    def with_layout(self, layout: MobileLayout) -> "MobileChain":
        """The space with other stages or choices, under the same name."""
        changed = super().with_layout(layout)
        assert isinstance(changed, MobileChain)
        return replace(changed, part=None, to_graph_of=partial(chain_graph, layout))

    def supergraph(self, config: NetworkConfig) -> SuperGraph:
        """The network with all candidates in place; equal settings share one graph."""
        return _supergraph(self.layout, config)

    def selection(self, architecture: Architecture) -> Selection:
        """Which candidates of the supergraph an architecture keeps."""
        return _selection(self.layout, self._genotype(architecture))

    def architecture(self, selection: Selection) -> Architecture:
        """The architecture that keeps one candidate of each layer."""
        places = enumerate(_choices(self.layout).items())
        blocks = {place: known[selection[(LAYER, layer)][0]] for layer, (place, known) in places}
        stages = tuple(
            tuple(blocks[(stage, place)] for place in range(found.num_blocks))
            for stage, found in enumerate(self.layout.stages)
        )
        return Architecture(self.name, MobileGenotype(stages, self.layout.resolutions[-1]))

    def restrict(self, allowed: Selection) -> "MobileChain":
        """The part of the space whose architectures keep to ``allowed``; candidates keep their numbers."""
        places = enumerate(_choices(self.layout).items())
        kept = {place: tuple(known[pick] for pick in allowed[(LAYER, layer)]) for layer, (place, known) in places}
        rules = MobileRules(self.layout, self.name, kept)
        return replace(self, size=rules.size, rules=rules_of(rules), part=allowed)


def chain_graph(layout: MobileLayout, genotype: MobileGenotype, config: NetworkConfig) -> ComputationGraph:
    """Computation graph of a genotype, whose nodes are named as in the supergraph."""
    return _supergraph(layout, config).resolve(_selection(layout, genotype))


@lru_cache(maxsize=64)
def _choices(layout: MobileLayout) -> dict[Place, tuple[Block, ...]]:
    rules = MobileRules(layout, "chain")
    return {
        (stage, place): rules.choices(stage, place)
        for stage, found in enumerate(layout.stages)
        for place in range(found.num_blocks)
    }


def _selection(layout: MobileLayout, genotype: MobileGenotype) -> Selection:
    return {
        (LAYER, layer): (known.index(genotype.stages[stage][place]),)
        for layer, ((stage, place), known) in enumerate(_choices(layout).items())
    }


@lru_cache(maxsize=64)
def _supergraph(layout: MobileLayout, config: NetworkConfig) -> SuperGraph:
    found = fitted(layout, config)
    builder = SuperGraphBuilder()
    last = add_stem(builder, found, builder.input(config.image_shape), layout.resolutions[-1])
    for layer, ((stage, place), known) in enumerate(_choices(layout).items()):
        stride = found.stages[stage].stride if place == 0 else 1
        bodies = {
            format_block(block): _body(None if block is None else BlockSetting(block, found.stages[stage], stride),
                                       builder.shape(last))
            for block in known
        }  # fmt: skip
        last = builder.choose((LAYER, layer), last, bodies, f"stages/{stage}/blocks/{place}")
    return builder.build(add_head(builder, found, last, config.num_classes))


@lru_cache(maxsize=4096)
def _body(setting: BlockSetting | None, shape: Shape) -> ComputationGraph:
    builder = GraphBuilder()
    source = builder.input(shape)
    return builder.build(source if setting is None else add_block(builder, source, setting, "block"))


_SCALES = {
    "quick": replace(
        QUICK, supernet_channels=8, max_train_images=256, max_test_images=512, splits=0, scoring_batches=2,
    ),
    "standard": replace(
        STANDARD, tuning_epochs=0, warmup_epochs=4, leaf_epochs=10, halving_epochs=10, scoring_batches=10,
    ),
    # Search with the schedule of the gradient-matching paper's code (sheet, section 3.3); training as ProxylessNAS.
    "full": replace(
        FULL, supernet_channels=32, supernet_cells=1,
        supernet=replace(SUPERNET, epochs=120, batch_size=512, weight_decay=4e-5), tuning_epochs=0,
        warmup_epochs=40, epochs_between_splits=40, leaf_epochs=40, selection_batch_size=256,
        final_channels=32, final_cells=1,
        final=replace(FULL.final, epochs=300, learning_rate=0.05, weight_decay=4e-5),
    ),
}  # fmt: skip


def _proxylessnas() -> MobileChain:
    layout = MobileLayout(stage_list((24, 40, 80, 96, 192, 320), (4, 4, 4, 4, 4, 1), (2, 2, 2, 1, 2, 1)))
    rules = MobileRules(layout, "proxylessnas")
    return MobileChain(
        name="proxylessnas",
        title="ProxylessNAS, 21 inverted residuals",
        paper="Cai et al., 2019, arXiv 1812.00332",
        size=rules.size,
        rules=rules_of(rules),
        to_graph_of=partial(chain_graph, layout),
        defaults=NetworkConfig(1000, IMAGENET, layout.stem_channels, cells=1),
        layout=layout,
        scales=_SCALES,
    )


PROXYLESSNAS = _proxylessnas()
