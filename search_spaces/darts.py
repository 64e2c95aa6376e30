"""The DARTS space of convolutional cells and its reduced variants S1 to S4.

DARTS: Liu, Simonyan and Yang, 2019, arXiv 1806.09055. S1 to S4: Zela et al., 2020, arXiv 1909.09656. A cell reads the
outputs of the two cells before it, sums two chosen edges into each of four nodes, and concatenates the nodes.
"""

import ast
from collections.abc import Mapping
from dataclasses import replace

from nasengine.architecture import CellEdge, CellGenotype
from nasengine.cells import CellSpace, CellTopology, Notation
from nasengine.errors import GenotypeError
from nasengine.graph.supergraph import SuperGraph, SuperGraphBuilder
from nasengine.operations.candidates import Placement, body_of, candidate_body, factorized_reduce, relu_conv_norm
from nasengine.protocols import NetworkConfig, SearchScale, TrainingRecipe
from search_spaces.darts_reduced import S1_NORMAL, S1_REDUCE
from search_spaces.scales import SUPERNET

NUM_INPUTS, NUM_NODES, NUM_EDGES = 2, 4, 14
STEM_MULTIPLIER = 3
MAX_TEXT_LENGTH = 10_000

OPERATIONS = (
    "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect",
    "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5",
)  # fmt: skip


def _topology(normal: tuple[tuple[str, ...], ...], reduce: tuple[tuple[str, ...], ...]) -> CellTopology:
    # ``none`` competes while searching but is never part of a cell (DARTS, section 2.4).
    return CellTopology(NUM_INPUTS, NUM_NODES, {"normal": normal, "reduce": reduce}, 2, frozenset({"none"}))


def _uniform(*operations: str) -> CellTopology:
    return _topology((operations,) * NUM_EDGES, (operations,) * NUM_EDGES)


# --- notation -------------------------------------------------------------------------------------------------------


def format_genotype(genotype: CellGenotype) -> str:
    """``Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], ...)``."""
    concat = f"range({NUM_INPUTS}, {NUM_INPUTS + NUM_NODES})"
    cells = (
        f"{kind}={[(edge.operation, edge.source) for edge in genotype.edges(kind)]}, {kind}_concat={concat}"
        for kind in genotype.kinds
    )
    return f"Genotype({', '.join(cells)})"


def parse_genotype(text: str) -> CellGenotype:
    """Read the notation of the DARTS papers; the text is parsed as an expression and never evaluated."""
    if len(text) > MAX_TEXT_LENGTH:
        raise GenotypeError(f"darts genotype: expected at most {MAX_TEXT_LENGTH} characters, got {len(text)}")
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or getattr(call.func, "id", None) != "Genotype" or call.args:
            raise ValueError("not a call of Genotype with named cells")
        fields = {keyword.arg: keyword.value for keyword in call.keywords}
        if set(fields) != {"normal", "normal_concat", "reduce", "reduce_concat"}:
            raise ValueError(f"its fields are {', '.join(map(str, fields))}")
        for kind in ("normal", "reduce"):
            _check_concat(kind, fields[f"{kind}_concat"])
        return CellGenotype.of(
            normal=_edges("normal", ast.literal_eval(fields["normal"])),
            reduce=_edges("reduce", ast.literal_eval(fields["reduce"])),
        )
    except GenotypeError:
        raise
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as fault:
        raise GenotypeError(
            "darts genotype: expected Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), "
            f"reduce=[...], reduce_concat=range(2, 6)), got {text[:80]!r} ({fault})"
        ) from fault


def _check_concat(kind: str, node: ast.expr) -> None:
    expected = list(range(NUM_INPUTS, NUM_INPUTS + NUM_NODES))
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "range" and not node.keywords:
        bounds = [ast.literal_eval(bound) for bound in node.args]
        matches = bounds == [expected[0], expected[-1] + 1]
    else:
        matches = list(ast.literal_eval(node)) == expected
    if not matches:
        raise GenotypeError(
            f"darts genotype, {kind}_concat: expected range(2, 6), all four nodes, got {ast.unparse(node)}"
        )


def _edges(kind: str, pairs: object) -> list[CellEdge]:
    if not isinstance(pairs, list) or len(pairs) != 2 * NUM_NODES:
        raise GenotypeError(f"darts genotype, {kind} cell: expected a list of 8 (operation, input) pairs")
    edges = []
    for position, pair in enumerate(pairs):
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and type(pair[1]) is int):
            raise GenotypeError(
                f"darts genotype, {kind} cell, pair {position}: expected (operation, input), got {pair!r}"
            )
        edges.append(CellEdge(NUM_INPUTS + position // 2, pair[1], pair[0]))
    return edges


# --- network --------------------------------------------------------------------------------------------------------


def _skeleton(topology: CellTopology, config: NetworkConfig) -> SuperGraph:
    """Stem, cells with reductions at one and two thirds of the depth, pooling, classifier."""
    builder = SuperGraphBuilder()
    stem = builder.add(
        "conv", builder.input(config.image_shape), name="stem/conv",
        channels=STEM_MULTIPLIER * config.channels, kernel=3, padding=1,
    )  # fmt: skip
    older = newer = builder.add("batch_norm", stem, name="stem/norm")
    reductions = {config.cells // 3, 2 * config.cells // 3}
    channels, was_reduction, auxiliary = config.channels, False, None
    for index in range(config.cells):
        kind = "reduce" if index in reductions else "normal"
        channels *= 2 if kind == "reduce" else 1
        first = _preprocess(builder, older, channels, config, f"cells/{index}/input0", halve=was_reduction)
        second = _preprocess(builder, newer, channels, config, f"cells/{index}/input1", halve=False)
        older, newer = newer, _cell(builder, topology, (first, second), kind, config, f"cells/{index}")
        was_reduction = kind == "reduce"
        if config.auxiliary_head and index == 2 * config.cells // 3:
            auxiliary = _auxiliary_head(builder, newer, config)
    pooled = builder.add("mean", newer, name="head/pool", axes=(1, 2))
    logits = builder.add("linear", pooled, name="head/classifier", features=config.num_classes, bias=True)
    return builder.build(logits) if auxiliary is None else builder.build(logits, auxiliary)


def _preprocess(
    builder: SuperGraphBuilder, source: int, channels: int, config: NetworkConfig, name: str, *, halve: bool
) -> int:
    place = Placement(builder.shape(source), channels, affine=not config.searching)
    emitter = factorized_reduce if halve else (lambda graph, node, where: relu_conv_norm(graph, node, where, 1))
    return builder.body(body_of(emitter, place), source, name)


def _cell(
    builder: SuperGraphBuilder,
    topology: CellTopology,
    inputs: tuple[int, int],
    kind: str,
    config: NetworkConfig,
    name: str,
) -> int:
    nodes = list(inputs)
    for target in topology.targets:
        edges = []
        for source in range(target):
            edge = topology.edge_index(source, target)
            shape = builder.shape(nodes[source])
            stride = 2 if kind == "reduce" and source < NUM_INPUTS else 1
            place = Placement(shape, shape[0], stride, affine=not config.searching, pool_norm=config.searching)
            bodies = {operation: candidate_body(operation, place) for operation in topology.candidates[kind][edge]}
            edges.append(builder.choose((kind, edge), nodes[source], bodies, f"{name}/edge{edge}"))
        nodes.append(builder.sum(edges, f"{name}/node{target}"))
    return builder.add("concat", *nodes[NUM_INPUTS:], name=f"{name}/output", axis=0)


def _auxiliary_head(builder: SuperGraphBuilder, source: int, config: NetworkConfig) -> int | None:
    """The second classifier of DARTS's CIFAR networks, after the second reduction (8x8 pixels there)."""
    if min(builder.shape(source)[1:]) < 8:
        return None
    step = builder.add("relu", source, name="auxiliary/relu0")
    step = builder.add("avg_pool", step, name="auxiliary/pool", kernel=5, stride=3, count_include_pad=False)
    for number, (channels, kernel) in enumerate(((128, 1), (768, 2)), start=1):
        step = builder.add("conv", step, name=f"auxiliary/conv{number}", channels=channels, kernel=kernel)
        step = builder.add("batch_norm", step, name=f"auxiliary/norm{number}")
        step = builder.add("relu", step, name=f"auxiliary/relu{number}")
    step = builder.add("flatten", step, name="auxiliary/flatten")
    return builder.add("linear", step, name="auxiliary/classifier", features=config.num_classes, bias=True)


# --- the spaces -----------------------------------------------------------------------------------------------------

_DEFAULTS = NetworkConfig(channels=36, cells=20)
_REDUCED_PAPER = "Zela et al., 2020, arXiv 1909.09656"


_SCALES = {
    "quick": SearchScale(
        supernet_channels=4, supernet_cells=3,
        supernet=replace(SUPERNET, epochs=1), tuning_epochs=0,
        final_channels=8, final_cells=3, final=TrainingRecipe(epochs=12, learning_rate=0.05),
        max_train_images=256, max_test_images=512, max_image_size=16, sampled_paths=6,
        scoring_batches=1, scoring_batch_size=16, halving_epochs=1,
    ),
    "standard": SearchScale(
        supernet_channels=8, supernet_cells=4,
        supernet=replace(SUPERNET, epochs=10), tuning_epochs=1,
        warmup_epochs=3, leaf_epochs=6, halving_epochs=10, scoring_batches=12, scoring_batch_size=16,
        final_channels=16, final_cells=4, final=TrainingRecipe(epochs=25, learning_rate=0.05, batch_size=64),
    ),
    # The papers' setting: DARTS, section 3.1, with the tuning of perturbation-based selection (Wang et al., 2021).
    "full": SearchScale(
        supernet_channels=16, supernet_cells=8,
        supernet=replace(SUPERNET, epochs=50), tuning_epochs=5,
        splits=3, warmup_epochs=2, epochs_between_splits=2, leaf_epochs=15, halving_epochs=30, scoring_batches=100,
        selection_batch_size=64, sampled_paths=1000,
        final_channels=36, final_cells=20,
        final=TrainingRecipe(epochs=600, batch_size=96, cutout=0.5, drop_path=0.2, auxiliary_weight=0.4),
    ),
}  # fmt: skip


def _space(name: str, title: str, paper: str, topology: CellTopology) -> CellSpace:
    notation = Notation(parse_genotype, format_genotype)
    return CellSpace(name, title, paper, topology, notation, _skeleton, _DEFAULTS, _SCALES)


DARTS = _space(
    "darts", "DARTS cells, 8 operations", "Liu, Simonyan and Yang, 2019, arXiv 1806.09055", _uniform(*OPERATIONS)
)
S1 = _space("darts_s1", "DARTS cells, two chosen operations an edge", _REDUCED_PAPER, _topology(S1_NORMAL, S1_REDUCE))
S2 = _space("darts_s2", "DARTS cells, skip and sep 3x3", _REDUCED_PAPER, _uniform("skip_connect", "sep_conv_3x3"))
S3 = _space(
    "darts_s3", "DARTS cells, none, skip and sep 3x3", _REDUCED_PAPER, _uniform("none", "skip_connect", "sep_conv_3x3")
)
S4 = _space("darts_s4", "DARTS cells, noise and sep 3x3", _REDUCED_PAPER, _uniform("noise", "sep_conv_3x3"))

SPACES: Mapping[str, CellSpace] = {space.name: space for space in (DARTS, S1, S2, S3, S4)}
