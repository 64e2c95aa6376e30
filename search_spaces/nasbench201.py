"""NAS-Bench-201: every cell of four nodes and five operations (Dong and Yang, 2020, arXiv 2001.00326).

Three stages of equal cells with a residual block of stride 2 between them; node 3 is the output of a cell.
"""

import re
from dataclasses import replace

from nasengine.architecture import CellEdge, CellGenotype
from nasengine.cells import CellSpace, CellTopology, Notation
from nasengine.errors import GenotypeError
from nasengine.graph.supergraph import SuperGraph, SuperGraphBuilder
from nasengine.operations.candidates import Placement, body_of, candidate_body, relu_conv_norm
from nasengine.protocols import NetworkConfig
from search_spaces.scales import FULL, QUICK, STANDARD

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NUM_NODES, NUM_STAGES = 3, 3
MAX_TEXT_LENGTH = 1_000
_EDGE = re.compile(r"([A-Za-z0-9_]+)~(\d)")
_EXAMPLE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"


def format_genotype(genotype: CellGenotype) -> str:
    """``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``: one group a node, the number is the source."""
    groups = []
    for target in range(1, NUM_NODES + 1):
        edges = [edge for edge in genotype.edges("cell") if edge.target == target]
        groups.append("|" + "".join(f"{edge.operation}~{edge.source}|" for edge in edges))
    return "+".join(groups)


def parse_genotype(text: str) -> CellGenotype:
    """Read the notation of the benchmark.

    >>> format_genotype(parse_genotype(_EXAMPLE)) == _EXAMPLE
    True
    """
    groups = text.strip().split("+")
    if len(text) > MAX_TEXT_LENGTH or len(groups) != NUM_NODES:
        raise GenotypeError(f"nasbench201 genotype: expected 3 groups such as {_EXAMPLE}, got {text[:80]!r}")
    edges = []
    for target, group in enumerate(groups, start=1):
        items = group.strip("|").split("|")
        for item in items:
            match = _EDGE.fullmatch(item)
            if match is None:
                raise GenotypeError(
                    f"nasbench201 genotype, node {target}: expected operation~source, got {item[:40]!r}; "
                    f"an example: {_EXAMPLE}"
                )
            edges.append(CellEdge(target, int(match[2]), match[1]))
    return CellGenotype.of(cell=edges)


def _skeleton(topology: CellTopology, config: NetworkConfig) -> SuperGraph:
    """Stem, three stages of ``config.cells`` cells at 1, 2 and 4 times the channels, pooling, classifier."""
    builder = SuperGraphBuilder()
    image = builder.input(config.image_shape)
    stem = builder.add("conv", image, name="stem/conv", channels=config.channels, kernel=3, padding=1)
    last = builder.add("batch_norm", stem, name="stem/norm")
    for stage in range(NUM_STAGES):
        if stage > 0:
            last = _residual_block(builder, last, config.channels * 2**stage, f"stages/{stage}/reduction")
        for index in range(config.cells):
            last = _cell(builder, topology, last, config, f"stages/{stage}/cells/{index}")
    normed = builder.add("batch_norm", last, name="head/norm")
    active = builder.add("relu", normed, name="head/relu")
    pooled = builder.add("mean", active, name="head/pool", axes=(1, 2))
    return builder.build(builder.add("linear", pooled, name="head/classifier", features=config.num_classes, bias=True))


def _residual_block(builder: SuperGraphBuilder, source: int, channels: int, name: str) -> int:
    """Basic residual block of stride 2; the shortcut is average pooling and a 1x1 convolution."""
    place = Placement(builder.shape(source), channels, stride=2)
    first = builder.body(
        body_of(lambda graph, node, where: relu_conv_norm(graph, node, where, 3), place), source, f"{name}/first"
    )
    place = Placement(builder.shape(first), channels)
    second = builder.body(
        body_of(lambda graph, node, where: relu_conv_norm(graph, node, where, 3), place), first, f"{name}/second"
    )
    odd = any(size % 2 for size in builder.shape(source)[1:])
    pooled = builder.add(
        "avg_pool", source, name=f"{name}/shortcut_pool", kernel=2, stride=2,
        **({"ceil_mode": True, "count_include_pad": False} if odd else {"count_include_pad": False}),
    )  # fmt: skip
    shortcut = builder.add("conv", pooled, name=f"{name}/shortcut_conv", channels=channels)
    return builder.add("add", shortcut, second, name=f"{name}/sum")


def _cell(builder: SuperGraphBuilder, topology: CellTopology, source: int, config: NetworkConfig, name: str) -> int:
    nodes = [source]
    shape = builder.shape(source)
    place = Placement(shape, shape[0], affine=not config.searching)
    for target in topology.targets:
        edges = []
        for start in range(target):
            edge = topology.edge_index(start, target)
            bodies = {operation: candidate_body(operation, place) for operation in topology.candidates["cell"][edge]}
            edges.append(builder.choose(("cell", edge), nodes[start], bodies, f"{name}/edge{edge}"))
        nodes.append(builder.sum(edges, f"{name}/node{target}"))
    return nodes[-1]


_SCALES = {"quick": QUICK, "standard": replace(STANDARD, final_cells=2), "full": FULL}

NASBENCH201 = CellSpace(
    name="nasbench201",
    title="NAS-Bench-201 cells, 5 operations on 6 edges",
    paper="Dong and Yang, 2020, arXiv 2001.00326",
    topology=CellTopology(1, NUM_NODES, {"cell": (OPERATIONS,) * 6}),
    notation=Notation(parse_genotype, format_genotype),
    skeleton=_skeleton,
    defaults=NetworkConfig(channels=16, cells=5),
    scales=_SCALES,
)
