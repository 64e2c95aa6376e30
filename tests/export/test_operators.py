"""Operators that networks turn into: the table against exported files, and what targets refuse."""

import random

import onnx
import pytest
import torch

from export.onnx import export_onnx
from export.operators import _OPERATORS, check_file, onnx_operators, refuse_unsupported
from nasengine.errors import ExportError
from nasengine.graph import GraphBuilder, prune
from nasengine.graph.shapes import KINDS
from nasengine.network import GraphNetwork
from nasengine.targets import Target, built_in_targets, load_target
from nasengine.testing import small_config
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201
from search_spaces.vision_transformer import VISION_TRANSFORMER

IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
SETTINGS = {
    "batch_norm": {}, "layer_norm": {}, "max_pool": {"kernel": 3}, "avg_pool": {"kernel": 2},
    "conv": {"channels": 4, "kernel": 3}, "linear": {"features": 5, "bias": True}, "scale": {"value": 2.0},
    "mean": {"axes": (1, 2)}, "offset": {"learned": True, "parameter_shape": (3, 1, 1), "initial_deviation": 0.1},
    "zero": {"stride": (1, 1)}, "crop": {"offset": (1, 1)}, "truncate": {"channels": 2}, "pad": {"pads": (0, 1, 0, 1)},
    "reshape": {"shape": (8, 24)}, "transpose": {"axes": (2, 0, 1)}, "softmax": {"axis": 0},
    "resize": {"sizes": (4, 5)}, "slice": {"axis": 1, "start": 0, "size": 4, "step": 2}, "concat": {"axis": 0},
}  # fmt: skip
PAIRS = ("add", "sub", "mul", "div", "matmul", "concat")


def network_of_all_kinds() -> GraphNetwork:
    """One branch for each kind, all of them flattened and added up by the classifier."""
    builder = GraphBuilder()
    first = builder.add("tanh", builder.input((3, 8, 8)), name="first")
    second = builder.add("sigmoid", first, name="second")
    ends = []
    for kind in sorted(set(_OPERATORS) - {"input"}):
        sources = (first, second) if kind in PAIRS else (first,)
        node = builder.add(kind, *sources, name=kind, **SETTINGS.get(kind, {}))
        ends.append(builder.add("flatten", node, name=f"end of {kind}"))
    joined = builder.add("concat", *ends, name="joined", axis=0)
    logits = builder.add("linear", joined, name="logits", features=3, bias=True)
    return GraphNetwork(prune(builder.build(logits)), seed=0).eval()


def network_of(space) -> GraphNetwork:
    return GraphNetwork(prune(space.to_graph(space.sample(random.Random(1)), small_config(space))), seed=0).eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("operators")
    networks = {"all": network_of_all_kinds(), "darts": network_of(DARTS), "nasbench201": network_of(NASBENCH201)}
    for name, network in networks.items():
        images = IMAGES if name == "all" else torch.nn.functional.pad(IMAGES, (4, 4, 4, 4))
        export_onnx(network, images, folder / f"{name}.onnx", {})
    return {name: (network.graph, folder / f"{name}.onnx") for name, network in networks.items()}


def test_every_kind_that_a_network_computes_has_its_operators():
    assert set(KINDS) - set(_OPERATORS) == {"mix", "other"}


def test_files_hold_no_operators_but_those_of_the_table(files):
    for graph, path in files.values():
        written = {node.op_type for node in onnx.load(path).graph.node}
        said = {name for operation in graph.operations for name in onnx_operators(operation)}
        assert written - said <= {"Constant"}


def test_the_table_names_nothing_that_is_not_written(files):
    graph, path = files["all"]
    written = {node.op_type for node in onnx.load(path).graph.node}
    for operation in graph.operations:
        assert set(onnx_operators(operation)) <= written | {"Shape", "ConstantOfShape"}, operation.kind


def test_a_network_passes_where_its_file_passes(files):
    """Batch norms behind convolutions are folded: a target without them still runs most networks."""
    for name in ("darts", "nasbench201"):
        graph, path = files[name]
        written = {node.op_type for node in onnx.load(path).graph.node} | {"Shape", "Concat", "ConstantOfShape"}
        target = Target(name="just-these", title="Just these", operators=tuple(sorted(written)))
        check_file(path, target)
        refuse_unsupported(graph, target)
        without = Target(name="just-these", title="Just these", operators=tuple(sorted(written - {"Conv"})))
        with pytest.raises(ExportError, match="Conv"):
            check_file(path, without)
        with pytest.raises(ExportError, match="Conv"):
            refuse_unsupported(graph, without)


def test_built_in_targets_run_networks_of_cells(files):
    for target in built_in_targets().values():
        for name in ("darts", "nasbench201"):
            graph, path = files[name]
            refuse_unsupported(graph, target)
            written = {node.op_type for node in onnx.load(path).graph.node} - {"Constant", "Identity"}
            assert not target.operators or written <= set(target.operators), target.name


def test_what_a_target_lacks_is_named_with_the_layer(files):
    graph = network_of(VISION_TRANSFORMER).graph
    with pytest.raises(ExportError, match=r"target 'edgetpu': .* LayerNormalization in layer '.*' \(layer_norm\)"):
        refuse_unsupported(graph, load_target("edgetpu"))
    refuse_unsupported(graph, load_target("x86-1core"))
    with pytest.raises(ExportError, match="Gelu in node '.*'.* see 'nasengine target show mcu-64k'"):
        check_file(files["all"][1], load_target("mcu-64k"))
    check_file(files["all"][1], load_target("any-onnx"))


def test_quantised_files_pass_where_int8_does(tmp_path):
    nodes = "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)"
    text = f"net (float[n] x, float s, int8 z) => (float[n] y) {{ {nodes} }}"
    onnx.save(onnx.helper.make_model(onnx.parser.parse_graph(text)), tmp_path / "q.onnx")
    check_file(tmp_path / "q.onnx", load_target("edgetpu"))
    with pytest.raises(ExportError, match="QuantizeLinear in node"):
        check_file(tmp_path / "q.onnx", Target(name="float", title="Float", operators=("Conv",)))


def test_operators_inside_of_branches_count(tmp_path):
    inner = "g () => (float[n] b) { b = Erf(x) }"
    text = f"net (float[n] x, bool c) => (float[n] y) {{ y = If (c) <then_branch = {inner}, else_branch = {inner}> }}"
    onnx.save(onnx.helper.make_model(onnx.parser.parse_graph(text)), tmp_path / "if.onnx")
    with pytest.raises(ExportError, match="got Erf in node"):
        check_file(tmp_path / "if.onnx", Target(name="own", title="Own", operators=("If",)))


def test_unknown_operations_are_refused():
    builder = GraphBuilder()
    node = builder.add("other", builder.input((3, 8, 8)), name="odd", operator="Fft", shape=(3, 8, 8))
    with pytest.raises(ExportError, match="operation 'Fft': expected one that can be exported"):
        refuse_unsupported(builder.build(node), load_target("edgetpu"))
