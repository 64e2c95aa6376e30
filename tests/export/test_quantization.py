"""int8 files: small, accurate, whole, and honest about what they are."""

import errno
import json
from pathlib import Path

import numpy
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from export.activation_ranges import NUM_BINS, ValueStatistics, ranges_by, value_statistics
from export.calibration import LabelledImages, calibration_images, validation_images
from export.compaction import compact
from export.onnx import export_onnx
from export.quantization import QuantizationSettings, host_settings, quantize_int8
from nasengine.data.batches import normalize
from nasengine.data.digits import load
from nasengine.errors import ConfigError, ExportError
from nasengine.evaluation import NetworkTraining
from nasengine.graph import GraphBuilder, cost
from nasengine.network import GraphNetwork
from nasengine.protocols import TrainingRecipe

METADATA = {"genotype": "abc"}


def separable_network() -> GraphNetwork:
    """Depthwise and pointwise convolutions, a pool, a sum and a concatenation: what int8 operators there are."""
    builder = GraphBuilder()
    stem = builder.add("conv", builder.input((1, 8, 8)), name="stem", channels=32, kernel=3, padding=1)
    stem = builder.add("batch_norm", stem, name="stem_norm")
    value = builder.add("relu", stem, name="relu")
    value = builder.add("conv", value, name="depthwise", channels=32, kernel=5, padding=2, groups=32)
    value = builder.add("conv", value, name="pointwise", channels=32)
    value = builder.add("batch_norm", value, name="norm")
    value = builder.add("add", value, stem, name="sum")
    value = builder.add("max_pool", value, name="pool", kernel=2, stride=2)
    wide = builder.add("conv", builder.add("relu", value, name="relu2"), name="wide", channels=256, kernel=3, padding=1)
    value = builder.add("concat", value, wide, name="both", axis=0)
    value = builder.add("relu", builder.add("conv", value, name="last", channels=128), name="relu3")
    value = builder.add("mean", value, name="mean", axes=(1, 2))
    return GraphNetwork(builder.build(builder.add("linear", value, name="head", features=10)), seed=0)


@pytest.fixture(scope="module")
def digits():
    return load()


@pytest.fixture(scope="module")
def exported(digits, tmp_path_factory):
    """A network after three epochs, and its float32 file."""
    network = separable_network()
    task = NetworkTraining("small", network, digits, TrainingRecipe(epochs=3, learning_rate=0.05), seed=0)
    for epoch in range(3):
        task.run_step(epoch)
    path = tmp_path_factory.mktemp("float") / "model.onnx"
    export_onnx(network, normalize(digits.test.images[:50], digits), path, METADATA)
    return network, path


@pytest.fixture(scope="module")
def images(digits):
    return {"calibration": calibration_images(digits, count=200), "validation": validation_images(digits)}


@pytest.fixture(scope="module")
def quantized(exported, images, tmp_path_factory):
    return quantize_int8(exported[1], tmp_path_factory.mktemp("int8") / "model.int8.onnx", **images)


def logits(path: Path, images: torch.Tensor) -> numpy.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]


def test_file_is_as_accurate_as_the_report_says_and_small(exported, images, quantized):
    network, source = exported
    validation = images["validation"]
    got, expected = logits(quantized.path, validation.images), logits(source, validation.images)
    assert quantized.accuracy == (got.argmax(1) == validation.labels.numpy()).mean()
    assert quantized.float_accuracy == (expected.argmax(1) == validation.labels.numpy()).mean() > 0.8
    assert quantized.drop == quantized.float_accuracy - quantized.accuracy <= 0.005
    assert quantized.trials[0].deviation == pytest.approx(numpy.abs(got - expected).mean(), rel=1e-4)
    assert 0 < quantized.trials[0].deviation < 0.05 * numpy.abs(expected).mean()
    assert cost(network.graph).num_parameters > 100_000
    assert quantized.num_bytes == quantized.path.stat().st_size <= 0.30 * source.stat().st_size
    assert [entry.name for entry in quantized.path.parent.iterdir()] == [quantized.path.name]


def test_best_method_is_kept(quantized):
    assert {trial.method for trial in quantized.trials} == {"min-max", "entropy", "percentile"}
    order = [(-trial.accuracy, trial.deviation) for trial in quantized.trials]
    assert order == sorted(order)
    said = onnxruntime.InferenceSession(quantized.path, providers=["CPUExecutionProvider"]).get_modelmeta()
    content = dict(said.custom_metadata_map)
    assert json.loads(content.pop("quantization")) == {
        "weights": "int8", "activations": "uint8", "ranges": quantized.method,
    }  # fmt: skip
    assert content == METADATA


def test_weights_are_symmetric_with_a_scale_for_each_output_channel(exported, quantized):
    network, _ = exported
    model = onnx.load(quantized.path)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    rows = [node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in stored]
    weight = network.nodes["last"].weight.detach().numpy()
    (last,) = [row for row in rows if stored[row.input[0]].shape == weight.shape]
    assert len(last.input) == 2  # no zero point
    codes, scales = stored[last.input[0]], stored[last.input[1]]
    assert codes.dtype == numpy.int8
    numpy.testing.assert_allclose(scales, numpy.abs(weight).max((1, 2, 3)) / 127, rtol=1e-5)
    numpy.testing.assert_allclose(codes * scales[:, None, None, None], weight, atol=float(scales.max()) / 2 + 1e-6)
    (depthwise,) = [row for row in rows if stored[row.input[0]].shape == (32, 1, 5, 5)]
    assert stored[depthwise.input[1]].shape == ()  # its channels were evened out: one scale is each one's own
    assert (numpy.abs(stored[depthwise.input[0]]).max((1, 2, 3)) == 127).all()


def test_runtime_merges_everything_into_integer_operators(quantized, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "merged.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(quantized.path, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "merged.onnx").graph.node]
    assert "Conv" not in kinds
    assert kinds.count("QLinearConv") == 5
    assert "QLinearConcat" in kinds


def test_explicit_files_compute_nearly_the_same(exported, images, quantized, tmp_path):
    settings = QuantizationSettings(methods=(quantized.method,), explicit=True)
    report = quantize_int8(exported[1], tmp_path / "explicit.onnx", **images, settings=settings)
    kept = {tensor.data_type for tensor in onnx.load(report.path).graph.initializer}
    assert onnx.TensorProto.INT32 in kept  # biases
    assert onnx.TensorProto.INT32 not in {t.data_type for t in onnx.load(quantized.path).graph.initializer}
    assert report.num_bytes > quantized.num_bytes
    assert report.trials[0].deviation == pytest.approx(quantized.trials[0].deviation, rel=0.25)
    shrunk = onnx.load(report.path)
    compact(shrunk)
    onnx.save(shrunk, tmp_path / "shrunk.onnx")
    some = images["validation"].images
    numpy.testing.assert_allclose(logits(tmp_path / "shrunk.onnx", some), logits(report.path, some), atol=1e-5)


def test_types_of_activations_and_bits_of_weights(exported, images, quantized, tmp_path):
    signed = QuantizationSettings(methods=(quantized.method,), activation_type="int8")
    found = quantize_int8(exported[1], tmp_path / "signed.onnx", **images, settings=signed)
    assert found.trials[0].deviation == pytest.approx(quantized.trials[0].deviation, rel=0.25)
    types = {tensor.data_type for tensor in onnx.load(found.path).graph.initializer}
    assert onnx.TensorProto.UINT8 not in types
    reduced = QuantizationSettings(methods=("min-max",), reduce_range=True)
    found = quantize_int8(exported[1], tmp_path / "reduced.onnx", **images, settings=reduced)
    weights = [numpy_helper.to_array(t) for t in onnx.load(found.path).graph.initializer if len(t.dims) == 4]
    assert max(int(numpy.abs(weight.astype(int)).max()) for weight in weights) == 64


def test_host_settings_follow_the_processor(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    monkeypatch.setattr(Path, "read_text", lambda self: "flags: avx2")
    assert host_settings() == QuantizationSettings(reduce_range=True)
    monkeypatch.setattr(Path, "read_text", lambda self: "flags: avx512f avx512_vnni")
    assert host_settings() == QuantizationSettings()
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert host_settings().activation_type == "int8"


def test_calibration_images_are_training_images_evenly_over_classes(digits):
    found = calibration_images(digits, count=200, seed=3)
    training = {image.numpy().tobytes(): int(label) for image, label in zip(
        normalize(digits.all_training.images, digits), digits.all_training.labels, strict=True)}  # fmt: skip
    labels = [training[image.numpy().tobytes()] for image in found]  # a KeyError is an image from elsewhere
    assert numpy.bincount(labels).tolist() == [20] * 10
    assert torch.equal(found, calibration_images(digits, count=200, seed=3))
    assert not torch.equal(found, calibration_images(digits, count=200, seed=4))
    with pytest.raises(ConfigError, match="from 100 to 500, got 99"):
        calibration_images(digits, count=99)


def test_statistics_are_those_of_the_values(exported, images, tmp_path):
    _, source = exported
    some = images["calibration"][:40]  # more than a batch, and not a multiple of it
    found = value_statistics(source, some, tmp_path)
    expected = logits(source, some)
    entry = found["logits"]
    assert (entry.low, entry.high) == (min(0, expected.min()), max(0, expected.max()))
    assert entry.counts.sum() == expected.size
    counts, _ = numpy.histogram(expected, NUM_BINS, (entry.low, entry.high))
    assert numpy.abs(numpy.cumsum(counts) - numpy.cumsum(entry.counts)).max() <= 3  # values on an edge
    assert found["images"].counts.sum() == some.numel()


def test_entropy_cuts_off_outliers_and_nothing_else():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(100_000, generator=generator).clamp(-4, 4)
    values[:50_000] = values[:50_000].relu() * 0  # as after a ReLU
    statistics = {}
    for name, outlier in (("plain", 4.0), ("outlier", 40.0)):
        values[-1] = outlier
        low, high = float(values.min()), float(values.max())
        statistics[name] = ValueStatistics(low, high, torch.histc(values, NUM_BINS, low, high).numpy().astype(float))
    entropy, whole = ranges_by("entropy", statistics), ranges_by("min-max", statistics)
    assert whole["outlier"][1] == 40
    assert 2.5 < entropy["outlier"][1] < 8
    assert 2.5 < entropy["plain"][1] <= 4
    assert 2.5 < ranges_by("percentile", statistics, 99.9)["outlier"][1] < 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calibration": torch.zeros(9, 3, 8, 8)}, r"calibration images: expected shape \[1, 8, 8\] as the input of"),
        ({"calibration": torch.zeros(0, 1, 8, 8)}, "expected finite normalised float32 values, got 0 images"),
        ({"calibration": torch.full((9, 1, 8, 8), torch.nan)}, "calibration images: expected finite"),
        ({"validation": LabelledImages(torch.zeros(2, 1, 9, 8), torch.zeros(2))}, "validation images: expected shape"),
        ({"validation": LabelledImages(torch.zeros(2, 1, 8, 8), torch.zeros(3))}, "a label each, got 2 images and 3"),
        ({"settings": QuantizationSettings(methods=())}, "expected at least one method of min-max, entropy"),
    ],
)
def test_images_that_do_not_fit_are_refused_and_nothing_is_written(exported, images, tmp_path, change, message):
    with pytest.raises(ExportError, match=message):
        quantize_int8(exported[1], tmp_path / "a.onnx", **{**images, **change})
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_the_old_file_and_no_half_one(exported, images, tmp_path, monkeypatch):
    path = tmp_path / "model.int8.onnx"
    path.write_bytes(b"old")
    real = onnx.save_model

    def save(model: onnx.ModelProto, target: Path, **settings: bool) -> None:
        Path(target).write_bytes(b"half")
        if Path(target).name == "percentile.onnx":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(model, target, **settings)

    monkeypatch.setattr("onnx.save_model", save)
    with pytest.raises(ExportError, match=r"int8 file .*: could not be written \(No space left on device\)"):
        quantize_int8(exported[1], path, **images)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"old"


def test_files_that_are_no_network_are_refused(images, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ExportError, match="expected one that onnxruntime can load"):
        quantize_int8(tmp_path / "bad.onnx", tmp_path / "a.onnx", **images)
