"""float16 files: half the bytes, float32 outside, nearly the same logits."""

from pathlib import Path

import numpy
import onnx
import onnxruntime
import pytest
import torch

from export.float16 import to_float16
from export.onnx import export_onnx
from nasengine.errors import ExportError
from nasengine.graph import GraphBuilder
from nasengine.network import GraphNetwork

IMAGES = torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    builder = GraphBuilder()
    value = builder.add("conv", builder.input((3, 8, 8)), name="stem", channels=64, kernel=3, bias=True)
    value = builder.add("conv", builder.add("relu", value, name="relu"), name="conv", channels=64, kernel=3)
    value = builder.add("linear", builder.add("flatten", value, name="flat"), name="head", features=10)
    path = tmp_path_factory.mktemp("float") / "model.onnx"
    export_onnx(GraphNetwork(builder.build(value), seed=0), IMAGES, path, {"genotype": "abc"})
    return path


def test_half_the_bytes_and_nearly_the_same_logits(source, tmp_path):
    path = tmp_path / "half.onnx"
    report = to_float16(source, path, images=IMAGES)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert report.num_bytes == path.stat().st_size < 0.52 * source.stat().st_size
    assert report.float_bytes == source.stat().st_size
    sessions = [onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]) for file in (source, path)]
    expected, got = (session.run(None, {"images": IMAGES.numpy()})[0] for session in sessions)
    assert got.dtype == numpy.float32
    assert 0 < report.max_deviation == numpy.abs(got - expected).max() < 0.01
    assert report.top1_agreement == (got.argmax(1) == expected.argmax(1)).mean()
    assert sessions[1].get_modelmeta().custom_metadata_map == {"genotype": "abc", "precision": "float16"}
    kinds = {tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.FLOAT not in kinds


def with_weights_times(source: Path, path: Path, factor: float) -> Path:
    model = onnx.load(source)
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 4:
            values = onnx.numpy_helper.to_array(tensor) * numpy.float32(factor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (1e7, "weight .*: expected values up to 65504 as float16 holds, got .*; use float32"),
        (1e4, "value .*: expected values up to 65504"),
    ],
)
def test_values_that_float16_cannot_hold_are_refused(source, tmp_path, factor, message):
    large = with_weights_times(source, tmp_path / "large.onnx", factor)
    with pytest.raises(ExportError, match=message):
        to_float16(large, tmp_path / "half.onnx", images=IMAGES)
    assert [entry.name for entry in tmp_path.iterdir()] == ["large.onnx"]


def test_wrong_images_and_places_are_refused(source, tmp_path):
    with pytest.raises(ExportError, match=r"expected some of shape \(3, 8, 8\) as the input of model.onnx, got 2 of"):
        to_float16(source, tmp_path / "half.onnx", images=torch.zeros(2, 1, 8, 8))
    (tmp_path / "folder").mkdir()
    with pytest.raises(ExportError, match="float16 file .*folder: could not be written"):
        to_float16(source, tmp_path / "folder", images=IMAGES)
