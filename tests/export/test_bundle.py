"""Folders hold all that a device needs, say what is in them, and keep a target's limits."""

import ast
import json
import random
import re
import subprocess
import sys
import venv
from importlib.resources import files
from pathlib import Path

import numpy
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from export.bundle import SCRIPT, Choices, data_types_of, refuse_excess, write_bundle
from export.calibration import validation_images
from export.card import read_card
from export.card_writing import classes_by
from export.precisions import write_int8
from export.sessions import open_session, run_images
from export.winner import Winner
from nasengine.data.digits import load
from nasengine.errors import ConfigError, ExportError
from nasengine.network import GraphNetwork
from nasengine.pipeline.exporting import deployed_network
from nasengine.protocols import NetworkConfig
from nasengine.targets import Limits, Target
from search_spaces.nasbench201 import NASBENCH201

BUNDLE = {"model.onnx", "model.int8.onnx", "card.md", "card.json", "labels.txt", "preprocessing.json", "infer.py"}
ALLOWED = {"os", "onnxruntime", "numpy", "json", "sys", "pathlib"}


@pytest.fixture(scope="module")
def winner() -> Winner:
    """A network that was never trained but names several classes: what a bundle holds does not depend on more."""
    config = NetworkConfig(image_shape=(1, 8, 8), channels=8, cells=1)
    architecture = NASBENCH201.sample(random.Random(1))
    network = GraphNetwork(NASBENCH201.to_graph(architecture, config), seed=3)
    genotype = NASBENCH201.format(architecture)
    dataset = load().reduced(400, 100, None, 0)
    return Winner(deployed_network(network), dataset, "nasbench201", genotype, "run", 0, "quick", "0" * 64,
                  NASBENCH201.scales["quick"].final)  # fmt: skip


@pytest.fixture(scope="module")
def bundle(winner, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "export"
    write_bundle(folder, winner, Choices(data_types=("int8",), licence="CC0", runs=20))
    return folder


def test_a_bundle_holds_what_its_card_says(bundle, winner):
    assert {path.name for path in bundle.iterdir()} == BUNDLE
    assert [path.name for path in bundle.parent.iterdir()] == ["export"]
    card = read_card(bundle / "card.json")
    labels = winner.dataset.test.labels
    for row in card.files:
        assert row.size_bytes == (bundle / row.name).stat().st_size
        assert row.test_accuracy == float((classes_by(bundle / row.name, winner.dataset) == labels).double().mean())
        assert row.latency is not None
        assert row.latency.runs == 20
    assert (bundle / "labels.txt").read_text().splitlines() == list(winner.dataset.class_names)
    assert card.files[0].max_deviation < 1e-4
    assert winner.genotype in (bundle / "card.md").read_text()


def test_files_say_what_they_are(bundle, winner):
    found = {entry.key: entry.value for entry in onnx.load(bundle / "model.onnx").metadata_props}
    assert found["genotype"] == winner.genotype
    assert {"space": "nasbench201", "run": "run", "licence": "CC0", "nasengine": "0.1.0"}.items() <= found.items()
    assert json.loads(found["preprocessing"]) == json.loads((bundle / "preprocessing.json").read_text())
    assert json.loads(found["classes"]) == list(winner.dataset.class_names)
    assert int(found["num_parameters"]) == sum(value.numel() for value in winner.network.parameters())


def test_the_script_imports_nothing_but_the_runtime(bundle):
    tree = ast.parse((bundle / "infer.py").read_text())
    found = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert found == ALLOWED
    inside = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} - found
    assert inside == {"PIL"}
    lines = [line for line in (bundle / "infer.py").read_text().splitlines() if line.strip()]
    assert len(lines) - 1 == 15


def inputs(folder: Path, winner: Winner, indices: list[int]) -> dict[Path, int]:
    """Test images in every way that the script reads, with the index of each."""
    found = {}
    for index in indices:
        pixels = winner.dataset.test.images[index].numpy()
        for name, content in (("chw", pixels), ("hw", pixels[0]), ("hwc", pixels.transpose(1, 2, 0))):
            numpy.save(folder / f"{name}{index}.npy", content)
            found[folder / f"{name}{index}.npy"] = index
        Image.fromarray(pixels[0]).save(folder / f"{index}.png")
        found[folder / f"{index}.png"] = index
    return found


def test_the_script_names_the_class_without_torch(bundle, winner, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules.update(dict.fromkeys(('torch', 'onnx', 'nasengine', 'export'), None))\n"
    )
    expected = {name: classes_by(bundle / name, winner.dataset) for name in ("model.onnx", "model.int8.onnx")}
    classes, firsts = numpy.unique(expected["model.onnx"], return_index=True)
    assert len(classes) >= 3
    for path, index in inputs(tmp_path, winner, firsts[:3].tolist()).items():
        for name in expected:
            call = [sys.executable, str(bundle / "infer.py"), str(path), *([name] if name != "model.onnx" else [])]
            answer = subprocess.run(call, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)}, check=True)
            assert answer.stdout == f"{winner.dataset.class_names[int(expected[name][index])]}\n"
    probe = subprocess.run([sys.executable, "-c", "import torch"], env={"PYTHONPATH": str(tmp_path)}, check=False,
                           capture_output=True)  # fmt: skip
    assert probe.returncode == 1


def test_the_script_reads_colours_in_every_layout(tmp_path):
    """The network names the largest channel: without the mean it would be red, without the deviation blue."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 6, 8])
    nodes = [helper.make_node("GlobalMaxPool", ["images"], ["max"]), helper.make_node("Flatten", ["max"], ["logits"])]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph(nodes, "net", [images], [logits])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "model.onnx")
    task = {"shape": [3, 6, 8], "colours": "RGB", "divisor": 255.0, "mean": [0.5, 0.1, 0.1], "std": [0.25, 0.2, 0.5]}
    (tmp_path / "preprocessing.json").write_text(json.dumps(task))
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    script = (files("export") / "templates" / SCRIPT).read_text()
    (tmp_path / "infer.py").write_text(script)
    pixels = numpy.zeros((6, 8, 3), "uint8")
    pixels[:3, :4] = (200, 150, 180)
    numpy.save(tmp_path / "hwc.npy", pixels)
    numpy.save(tmp_path / "chw.npy", pixels.transpose(2, 0, 1))
    Image.fromarray(pixels).resize((16, 12), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    for name in ("hwc.npy", "chw.npy", "large.png"):
        call = [sys.executable, "infer.py", name]
        assert subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, check=True).stdout == "green\n"


@pytest.mark.slow
def test_the_script_runs_where_only_the_runtime_is_installed(bundle, winner, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = str(tmp_path / "env" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "onnxruntime", "numpy"], check=True)
    assert subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode == 1
    expected = classes_by(bundle / "model.onnx", winner.dataset)
    for index in range(10):
        numpy.save(tmp_path / "image.npy", winner.dataset.test.images[index].numpy())
        call = [python, str(bundle / "infer.py"), str(tmp_path / "image.npy")]
        answer = subprocess.run(call, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert answer.stdout.strip() == winner.dataset.class_names[int(expected[index])]


@pytest.mark.slow
def test_training_with_int8_is_kept_where_it_helps(bundle, winner, tmp_path):
    made = write_int8(bundle / "model.onnx", tmp_path / "model.int8.onnx", winner, target=None, tuning_epochs=2)
    without, tuned = map(float, re.search(r"accuracy ([0-9.]+) without, ([0-9.]+) with", made.method).groups())
    assert ("not kept" in made.method) == (tuned <= without)
    images = validation_images(winner.dataset)
    classes = run_images(open_session(made.path), images.images).argmax(1)
    assert (classes == images.labels.numpy()).mean() == pytest.approx(max(without, tuned), abs=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["model.int8.onnx"]


# --- limits and data types ----------------------------------------------------------------------------------------


def device(**limits: int) -> Target:
    return Target(name="tiny", title="A tiny device", data_types=("int8",), limits=Limits(**limits))


def test_limits_are_checked_on_the_files(bundle, winner, tmp_path):
    card = read_card(bundle / "card.json")
    size, peak = card.files[1].size_bytes, card.peak_bytes["int8"]
    values = {"model_bytes": size, "peak_bytes": peak}
    refuse_excess(device(model_bytes=size, peak_bytes=peak), values)
    with pytest.raises(ExportError, match=f"tiny: expected at most {size - 1:,} model_bytes, got {size:,}, 1 too many"):
        refuse_excess(device(model_bytes=size - 1, peak_bytes=peak), values)
    with pytest.raises(ExportError, match=r"peak_bytes, got .*; expected at most 5 macs"):
        refuse_excess(device(peak_bytes=10, macs=5), {**values, "macs": 6})


@pytest.mark.slow
def test_a_broken_limit_leaves_nothing(winner, tmp_path):
    with pytest.raises(ExportError, match="target tiny: expected at most 1,000 model_bytes, got [0-9,]+"):
        write_bundle(tmp_path / "out", winner, Choices(target=device(model_bytes=1_000), runs=1))
    assert list(tmp_path.iterdir()) == []


def test_data_types_follow_the_target():
    assert data_types_of(Choices(data_types=("int8",))) == ("float32", "int8")
    assert data_types_of(Choices(target=device())) == ("float32", "int8")
    with pytest.raises(ConfigError, match="target tiny: expected data types among int8, got float16"):
        data_types_of(Choices(target=device(), data_types=("float16",)))
    with pytest.raises(ConfigError, match="--qat: expected an int8 file"):
        data_types_of(Choices(tuning_epochs=1))
