"""Other runtimes: what each converts says the same as the network, and nothing half-done is left behind."""

import sys

import numpy
import onnx
import onnxruntime
import pytest
import torch

from export.runtimes.checked import CheckedExport
from export.runtimes.executorch import ExecuTorch
from export.runtimes.litert import LiteRt
from export.runtimes.openvino import OpenVino
from export.runtimes.ort_format import OrtFormat
from nasengine import registry
from nasengine.errors import DependencyError, ExportError
from nasengine.protocols import Exporter
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201
from tests.export.trained_networks import trained_like

IMAGES = torch.randn(9, 3, 16, 16, generator=torch.Generator().manual_seed(0))
PACKAGES = {"openvino": "openvino", "executorch": "executorch", "litert": "litert_torch", "ort": "onnxruntime"}
FILES = {
    "ort": ["net.ort", "net.required_operators.config"],
    "openvino": ["net.bin", "net.xml"],
    "executorch": ["net.pte"],
    "litert": ["net.tflite"],
}


@pytest.fixture(scope="module", params=[DARTS, NASBENCH201], ids=lambda space: space.name)
def network(request):
    return trained_like(request.param, IMAGES)


@pytest.mark.parametrize("runtime", [OrtFormat(), OpenVino(), ExecuTorch(), LiteRt()], ids=lambda runtime: runtime.name)
def test_runtime_says_what_the_network_says(runtime, network, tmp_path):
    pytest.importorskip(PACKAGES[runtime.name], reason=f"the extra {runtime.name} is not installed")
    path = tmp_path / f"net{runtime.suffix}"
    report = CheckedExport(runtime)(network, IMAGES, path, {"genotype": "abc"})
    assert sorted(file.name for file in tmp_path.iterdir()) == FILES[runtime.name]
    run = runtime.load(path, threads=1)
    with torch.no_grad():
        for size in (1, 3, 9):
            numpy.testing.assert_allclose(run(IMAGES[:size]), network(IMAGES[:size]).numpy(), atol=1e-4)
    assert report.max_deviation <= 1e-4
    assert (report.top1_agreement, report.num_images, report.path) == (1.0, 9, path)
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert str(tmp_path).encode() not in content
    assert b"site-packages" not in content


def test_ort_files_keep_the_metadata_and_list_their_operators(tmp_path):
    model = onnx.helper.make_model(
        onnx.parser.parse_graph("net (float[n, 3] images) => (float[n, 3] logits) { logits = Sigmoid(images) }"),
        opset_imports=[onnx.helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.helper.set_model_props(model, {"genotype": "abc"})
    onnx.save(model, tmp_path / "source.onnx")
    OrtFormat().convert_file(tmp_path / "source.onnx", tmp_path / "net.ort")
    session = onnxruntime.InferenceSession(tmp_path / "net.ort", providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == {"genotype": "abc"}
    assert (tmp_path / "net.required_operators.config").read_text() == "ai.onnx;13;Sigmoid\n"


def test_all_are_exporters_of_the_one_protocol():
    for name in ("onnx", "ort", "openvino", "executorch", "litert"):
        assert isinstance(registry.load("exporter", name), Exporter)


def test_files_that_disagree_are_refused_and_not_written(tmp_path):
    class Wrong(OrtFormat):
        def convert(self, network, images, path, metadata):
            path.write_text("half")
            return 20

        def load(self, path, threads=None):
            return lambda images: images.flatten(1).numpy() + 0.01

    with pytest.raises(ExportError, match=r"ort file .*net.ort: expected logits within .* of the network's"):
        CheckedExport(Wrong())(torch.nn.Flatten(), IMAGES, tmp_path / "net.ort", {})
    assert list(tmp_path.iterdir()) == []


def test_names_that_end_otherwise_are_refused(tmp_path):
    with pytest.raises(ExportError, match=r"expected the name of a file that ends in \.ort"):
        CheckedExport(OrtFormat())(torch.nn.Flatten(), IMAGES, tmp_path / "net.onnx", {})


@pytest.mark.parametrize("runtime", [OpenVino(), ExecuTorch(), LiteRt()], ids=lambda runtime: runtime.name)
def test_missing_packages_are_named_with_the_command(runtime, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, {**PACKAGES, "executorch": "executorch.exir"}[runtime.name], None)
    with pytest.raises(DependencyError, match=rf"pip install 'nasengine\[{runtime.name}\]'"):
        CheckedExport(runtime)(torch.nn.Flatten(), IMAGES, tmp_path / f"net{runtime.suffix}", {})
    assert list(tmp_path.iterdir()) == []
