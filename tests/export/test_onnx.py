"""Exported files: one file, right values in every batch size, nothing of this machine in it."""

from pathlib import Path

import numpy
import onnx
import onnxruntime
import pytest
import torch

from export.onnx import export_onnx, read_opset
from export.sessions import open_session, run_images
from export.verification import verify_onnx
from nasengine.errors import ExportError
from nasengine.graph import cost
from nasengine.network import GraphNetwork
from nasengine.tracing import graph_from_onnx
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201
from tests.export.trained_networks import trained_like

IMAGES = torch.randn(20, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=[DARTS, NASBENCH201], ids=lambda space: space.name)
def exported(request, tmp_path_factory):
    network = trained_like(request.param, IMAGES)
    path = tmp_path_factory.mktemp(request.param.name) / "net.onnx"
    return network, path, export_onnx(network, IMAGES, path, {"genotype": "abc", "classes": '["a"]'})


def test_report_is_what_the_runtime_gives(exported):
    network, path, report = exported
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for size in (1, 2, 7, 20):
        (logits,) = session.run(None, {"images": IMAGES[:size].numpy()})
        with torch.no_grad():
            numpy.testing.assert_allclose(logits, network(IMAGES[:size]).numpy(), atol=1e-4)
    assert report.max_deviation < 1e-4
    assert report.top1_agreement == 1.0
    assert report.num_images == 20
    assert report.opset == read_opset(path) >= 18


def test_file_stands_alone_and_tells_nothing_of_this_machine(exported):
    _, path, _ = exported
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    content = path.read_bytes()
    for secret in (str(Path(__file__).parents[2]), "site-packages", "nasengine/network.py", "stack_trace", "forward"):
        assert secret.encode() not in content
    metadata = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_modelmeta()
    assert metadata.custom_metadata_map == {"genotype": "abc", "classes": '["a"]'}
    assert metadata.producer_name == "nasengine"


def test_graph_is_as_simple_as_it_can_be(exported):
    network, path, _ = exported
    graph = onnx.load(path).graph
    made_by = {name: node for node in graph.node for name in node.output}
    kinds = [node.op_type for node in graph.node]
    assert not {"Identity", "Constant", "Dropout"} & set(kinds)
    left = [made_by[node.input[0]].op_type for node in graph.node if node.op_type == "BatchNormalization"]
    norms = sum(operation.kind == "batch_norm" for operation in network.graph.operations)
    assert left == (["Add"] if path.parent.name.startswith("nasbench201") else [])
    assert norms > 15
    described = {entry.name for entry in (*graph.value_info, *graph.output) if entry.type.tensor_type.HasField("shape")}
    assert described == set(made_by)
    layers = {tensor.name.rpartition(".")[0] for tensor in graph.initializer if not tensor.name.startswith("val_")}
    assert layers <= set(network.graph.names)


def test_same_network_gives_the_same_bytes_and_a_batch_can_be_fixed(exported, tmp_path):
    network, path, _ = exported
    if path.parent.name.startswith("darts"):
        again = export_onnx(network, IMAGES, tmp_path / "again.onnx", {"genotype": "abc", "classes": '["a"]'})
        assert again.path.read_bytes() == path.read_bytes()
        return
    report = export_onnx(network, IMAGES, tmp_path / "static.onnx", {}, is_static=True)
    assert report.max_deviation < 1e-4
    assert report.top1_agreement == 1.0
    session = onnxruntime.InferenceSession(report.path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, 16, 16]
    with torch.no_grad():
        expected = network(IMAGES).numpy()
    numpy.testing.assert_allclose(run_images(open_session(report.path), IMAGES), expected, atol=1e-4)


def test_file_comes_back_as_a_graph_with_the_same_macs(exported):
    network, path, _ = exported
    assert cost(graph_from_onnx(path)).macs == cost(network.graph).macs


def test_files_that_disagree_are_refused_and_not_written(exported, tmp_path, monkeypatch):
    network, path, _ = exported
    other = GraphNetwork(network.graph, seed=99).eval()
    with pytest.raises(ExportError, match="expected logits within .* of the network's"):
        verify_onnx(path, other, IMAGES)

    def disagree(*_: object) -> None:
        raise ExportError("they disagree")

    monkeypatch.setattr("export.onnx.verify_onnx", disagree)
    with pytest.raises(ExportError, match="they disagree"):
        export_onnx(network, IMAGES, tmp_path / "net.onnx", {})
    assert list(tmp_path.iterdir()) == []


def test_old_operator_sets_are_refused(tmp_path):
    model = onnx.helper.make_model(
        onnx.helper.make_graph([], "empty", [], []), opset_imports=[onnx.helper.make_opsetid("", 17)]
    )
    onnx.save(model, tmp_path / "old.onnx")
    with pytest.raises(ExportError, match="expected operator set 18 or newer, got 17"):
        read_opset(tmp_path / "old.onnx")
