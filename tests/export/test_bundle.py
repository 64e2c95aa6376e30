"""Folders hold all that a device needs, say what is in them, and keep a target's limits."""

import ast
import json
import random
import subprocess
import sys
import venv
from pathlib import Path

import numpy
import onnx
import pytest
from PIL import Image

from export.bundle import Choices, data_types_of, refuse_excess, write_bundle
from export.card import read_card
from export.card_writing import classes_by
from export.winner import Winner
from nasengine.data.digits import load
from nasengine.errors import ConfigError, ExportError
from nasengine.network import GraphNetwork
from nasengine.pipeline.exporting import deployed_network
from nasengine.protocols import NetworkConfig
from nasengine.targets import Limits, Target
from search_spaces.nasbench201 import NASBENCH201

BUNDLE = {"model.onnx", "model.int8.onnx", "card.md", "card.json", "labels.txt", "preprocessing.json", "infer.py"}
ALLOWED = {"onnxruntime", "numpy", "json", "sys", "pathlib"}


@pytest.fixture(scope="module")
def winner() -> Winner:
    """A network that was never trained: what a bundle holds does not depend on it."""
    config = NetworkConfig(image_shape=(1, 8, 8), channels=8, cells=1)
    architecture = NASBENCH201.sample(random.Random(1))
    network = GraphNetwork(NASBENCH201.to_graph(architecture, config), seed=0)
    genotype = NASBENCH201.format(architecture)
    dataset = load().reduced(400, 100, None, 0)
    return Winner(deployed_network(network), dataset, "nasbench201", genotype, "run", 0, "quick", "0" * 64)


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


def inputs(folder: Path, winner: Winner) -> dict[Path, int]:
    """Ten test images in every way that the script reads, with the index of each."""
    found = {}
    for index in range(10):
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
    for path, index in list(inputs(tmp_path, winner).items())[:8]:
        for name in expected:
            call = [sys.executable, str(bundle / "infer.py"), str(path), *([name] if name != "model.onnx" else [])]
            answer = subprocess.run(call, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)}, check=True)
            assert answer.stdout == f"{winner.dataset.class_names[int(expected[name][index])]}\n"
    probe = subprocess.run([sys.executable, "-c", "import torch"], env={"PYTHONPATH": str(tmp_path)}, check=False,
                           capture_output=True)  # fmt: skip
    assert probe.returncode == 1


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
