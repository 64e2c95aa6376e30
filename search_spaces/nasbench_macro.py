"""NAS-Bench-Macro: eight layers of a chain, three blocks each (Su et al., 2021, arXiv 2103.11922, section 4).

The digits are the benchmark's: 0 is the identity (a 1x1 convolution where the shape changes), 1 an inverted residual
of kernel 3 and expansion 3, 2 one of kernel 5 and expansion 6. Layers that keep the shape are there ``config.cells``
times, once in the benchmark; the identity stays nothing however often.
"""

from nasengine.gene_space import Genes, GeneSpace
from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import NetworkConfig
from search_spaces.pieces import classifier, conv_norm

STAGES = ((2, 2), (3, 4), (3, 8))
"""Layers, and channels as a multiple of the stem's; the first layer of each stage has stride 2."""
HEAD_FACTOR = 40
BLOCKS = {"1": (3, 3), "2": (5, 6)}
"""Kernel and expansion of the inverted residuals."""


def _graph(genes: Genes, config: NetworkConfig) -> ComputationGraph:
    builder = GraphBuilder()
    image = builder.input(config.image_shape)
    last = conv_norm(builder, image, "stem", config.channels, 3, activation="relu")
    layers = [(factor, 2 if index == 0 else 1) for count, factor in STAGES for index in range(count)]
    for index, (gene, (factor, stride)) in enumerate(zip(genes, layers, strict=True)):
        last = _layer(builder, last, gene, config.channels * factor, stride, f"layers/{index}")
        for repeat in range(1, config.cells if stride == 1 else 1):  # only the first layer of a stage changes the shape
            last = _layer(builder, last, gene, config.channels * factor, stride, f"layers/{index}/repeats/{repeat}")
    last = conv_norm(builder, last, "head", HEAD_FACTOR * config.channels, 1, activation="relu")
    return builder.build(classifier(builder, last, config.num_classes))


def _layer(builder: GraphBuilder, source: int, gene: str, channels: int, stride: int, name: str) -> int:
    keeps_shape = stride == 1 and builder.shape(source)[0] == channels
    if gene == "0":
        return source if keeps_shape else conv_norm(builder, source, name, channels, 1, stride=stride)
    kernel, expansion = BLOCKS[gene]
    width = builder.shape(source)[0] * expansion
    wide = conv_norm(builder, source, f"{name}/expansion", width, 1, activation="relu")
    spread = conv_norm(
        builder, wide, f"{name}/depthwise", width, kernel, stride=stride, groups=width, activation="relu"
    )
    narrow = conv_norm(builder, spread, f"{name}/projection", channels, 1)
    return builder.add("add", narrow, source, name=f"{name}/sum") if keeps_shape else narrow


NASBENCH_MACRO = GeneSpace(
    name="nasbench_macro",
    title="NAS-Bench-Macro, 8 layers of 3 blocks",
    paper="Su et al., 2021, arXiv 2103.11922",
    choices=(("0", "1", "2"),) * sum(count for count, _ in STAGES),
    to_graph_of=_graph,
    defaults=NetworkConfig(channels=32, cells=1),
    separator="",
)
