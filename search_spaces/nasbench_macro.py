"""NAS-Bench-Macro: eight layers of a chain, three blocks each (Su et al., 2021, arXiv 2103.11922, section 4).

The digits are the benchmark's: 0 is the identity (a 1x1 convolution where the shape changes), 1 an inverted residual
of kernel 3 and expansion 3, 2 one of kernel 5 and expansion 6. Layers that keep the shape are there ``config.cells``
times, once in the benchmark; the identity stays nothing however often.
"""

from dataclasses import replace
from functools import lru_cache

from nasengine.chain_space import LAYER, ChainSpace
from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph, Shape
from nasengine.graph.supergraph import SuperGraph, SuperGraphBuilder
from nasengine.protocols import NetworkConfig
from search_spaces.pieces import classifier, conv_norm
from search_spaces.scales import FULL, QUICK, STANDARD

STAGES = ((2, 2), (3, 4), (3, 8))
"""Layers, and channels as a multiple of the stem's; the first layer of each stage has stride 2."""
HEAD_FACTOR = 40
BLOCKS = {"1": (3, 3), "2": (5, 6)}
"""Kernel and expansion of the inverted residuals."""
CANDIDATES = {"identity": "0", "k3_e3": "1", "k5_e6": "2"}
NUM_LAYERS = sum(count for count, _ in STAGES)


def _skeleton(config: NetworkConfig) -> SuperGraph:
    builder = SuperGraphBuilder()
    image = builder.input(config.image_shape)
    last = conv_norm(builder, image, "stem", config.channels, 3, activation="relu")
    layers = [(factor, 2 if index == 0 else 1) for count, factor in STAGES for index in range(count)]
    for index, (factor, stride) in enumerate(layers):
        last = _layer(builder, last, index, config.channels * factor, stride, config)
    last = conv_norm(builder, last, "head", HEAD_FACTOR * config.channels, 1, activation="relu")
    return builder.build(classifier(builder, last, config.num_classes))


def _layer(builder: SuperGraphBuilder, last: int, index: int, channels: int, stride: int, config: NetworkConfig) -> int:
    for repeat in range(config.cells if stride == 1 else 1):  # only the first layer of a stage changes the shape
        name = f"layers/{index}" + (f"/repeats/{repeat}" if repeat else "")
        shape = builder.shape(last)
        bodies = {candidate: _candidate(gene, shape, channels, stride) for candidate, gene in CANDIDATES.items()}
        last = builder.choose((LAYER, index), last, bodies, name)
    return last


@lru_cache(maxsize=256)
def _candidate(gene: str, shape: Shape, channels: int, stride: int) -> ComputationGraph:
    builder = GraphBuilder()
    source = builder.input(shape)
    keeps_shape = stride == 1 and shape[0] == channels
    if gene == "0":
        if keeps_shape:
            return builder.build(source)
        return builder.build(conv_norm(builder, source, "shortcut", channels, 1, stride=stride))
    kernel, expansion = BLOCKS[gene]
    width = shape[0] * expansion
    wide = conv_norm(builder, source, "expansion", width, 1, activation="relu")
    spread = conv_norm(builder, wide, "depthwise", width, kernel, stride=stride, groups=width, activation="relu")
    narrow = conv_norm(builder, spread, "projection", channels, 1)
    return builder.build(builder.add("add", narrow, source, name="sum") if keeps_shape else narrow)


_SCALES = {
    "quick": QUICK,
    "standard": STANDARD,
    # The benchmark's networks and training (Su et al., 2021, section 4), with the schedule of splits of NAS-Bench-201.
    "full": replace(
        FULL, supernet_channels=32, supernet_cells=1, final_channels=32, final_cells=1,
        final=replace(FULL.final, epochs=50),
    ),
}  # fmt: skip

NASBENCH_MACRO = ChainSpace(
    name="nasbench_macro",
    title="NAS-Bench-Macro, 8 layers of 3 blocks",
    paper="Su et al., 2021, arXiv 2103.11922",
    choices=(tuple(CANDIDATES.values()),) * NUM_LAYERS,
    candidates=(CANDIDATES,) * NUM_LAYERS,
    skeleton=_skeleton,
    defaults=NetworkConfig(channels=32, cells=1),
    scales=_SCALES,
    separator="",
)
