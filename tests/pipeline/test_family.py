"""Families: what they hold, that they go on where they were, and what they refuse."""

import json
from dataclasses import replace

import onnxruntime
import pytest
import torch

from export.onnx import export_onnx
from nasengine.data.digits import load
from nasengine.errors import ConfigError
from nasengine.initialization.learngene import Learngene
from nasengine.network import GraphNetwork
from nasengine.pipeline.family import Ancestor, Family
from nasengine.pipeline.family_settings import FamilySettings, chosen_sizes
from nasengine.protocols import NetworkConfig, TrainingRecipe
from nasengine.report.family_picture import draw_family
from nasengine.store import RunStore
from search_spaces.nasbench201 import NASBENCH201
from search_spaces.vision_transformer import VISION_TRANSFORMER

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
SETTINGS = FamilySettings(
    run="r", weights_sha256="0", depths=(1, 3), widths=(4,), epochs=2, tuning_epochs=1, threads=1, seed=3
)


class Interrupting:
    """Progress that stops the run after some steps, as Ctrl-C would."""

    def __init__(self, steps=None):
        self.left = steps

    def begin(self, task, num_steps, done): ...

    def advance(self, task, step, metrics):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt


@pytest.fixture(scope="module")
def ancestor():
    dataset = load().reduced(300, 60, None, 0)
    config = NetworkConfig(10, dataset.image_shape, 4, 2)
    architecture = NASBENCH201.parse(CELL)
    network = GraphNetwork(NASBENCH201.to_graph(architecture, config), 0).eval()
    recipe = TrainingRecipe(epochs=4, batch_size=50, learning_rate=0.1)
    lineage = {"run": "r", "genotype": CELL, "data": "digits", "test_accuracy": 0.5, "weights_sha256": "0"}
    return Ancestor(NASBENCH201, architecture, config, network, dataset, recipe, lineage)


def run(folder, ancestor, progress=None, settings=SETTINGS, exporter=None):
    family = Family(settings, ancestor, exporter, progress or Interrupting())
    is_new = not (folder / "journal.jsonl").exists()
    store = RunStore.create(folder, settings.model_dump(mode="json")) if is_new else RunStore.open(folder)
    try:
        return family.run(store)
    finally:
        store.close()


def without_times(summary):
    return {name: value for name, value in summary.items() if name not in ("family", "seconds", "learngene", "members")}


def test_a_family_that_is_interrupted_goes_on(ancestor, tmp_path):
    whole = run(tmp_path / "whole", ancestor)
    for steps in (0, 1, 0, 1):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", ancestor, Interrupting(steps))
    parts = run(tmp_path / "parts", ancestor)
    assert without_times(parts) == without_times(whole)
    for mine, other in zip(parts["members"], whole["members"], strict=True):
        assert mine | {"weights": ""} == other | {"weights": ""}
        contents = [(tmp_path / name / f"{mine['name']}.safetensors").read_bytes() for name in ("whole", "parts")]
        assert contents[0] == contents[1]
    assert [row["depth"] for row in whole["members"]] == [1, 3]
    assert json.loads((tmp_path / "whole" / "summary.json").read_text())["members"] == whole["members"]
    draw_family(whole, tmp_path / "family.png")
    assert (tmp_path / "family.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter, about torch itself
def test_members_of_other_widths_and_their_files(ancestor, tmp_path):
    settings = SETTINGS.model_copy(update={"depths": (2,), "widths": (4, 8), "epochs": 1, "tuning_epochs": 0})
    summary = run(tmp_path, ancestor, settings=settings, exporter=export_onnx)
    assert [(row["width"], row["untuned_accuracy"] == row["test_accuracy"]) for row in summary["members"]] == [
        (4, True), (8, True),
    ]  # fmt: skip
    assert "scratch_test_accuracy" not in summary["members"][0]
    for row in summary["members"]:
        session = onnxruntime.InferenceSession(row["onnx"]["path"])
        metadata = session.get_modelmeta().custom_metadata_map
        assert metadata["genotype"] == CELL
        assert json.loads(metadata["classes"]) == [str(digit) for digit in range(10)]
    assert summary["learngene"]["ratio"] > 1


def test_a_family_begins_with_a_learngene_that_is_there(ancestor, tmp_path):
    first = run(tmp_path / "first", ancestor)
    path = first["learngene"]["path"]
    settings = SETTINGS.model_copy(update={"learngene": path, "depths": (5,)})
    second = run(tmp_path / "second", ancestor, settings=settings)
    assert second["learngene"]["path"] == path
    assert not (tmp_path / "second" / "learngene.safetensors").exists()
    other = replace(ancestor, lineage=ancestor.lineage | {"genotype": "another"})
    with pytest.raises(ConfigError, match="expected one of the genotype another, got one of"):
        Family(settings, other, None, Interrupting())
    found = Learngene.load(tmp_path / "first" / "learngene.safetensors")
    assert found.manifest["lineage"] == ancestor.lineage
    assert 0 < found.manifest["metrics"]["train_accuracy"] <= 1


def test_a_larger_teacher_is_trained_first(ancestor, tmp_path):
    settings = SETTINGS.model_copy(update={"depths": (1,), "epochs": 1, "teacher_depth": 3, "teacher_width": 8})
    plain = run(tmp_path / "plain", ancestor, settings=SETTINGS.model_copy(update={"depths": (1,), "epochs": 1}))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "taught", ancestor, Interrupting(3), settings)
    taught = run(tmp_path / "taught", ancestor, settings=settings)
    assert (taught["teacher"]["depth"], taught["teacher"]["width"]) == (3, 8)
    assert "teacher" not in plain
    events = [json.loads(line) for line in (tmp_path / "taught" / "journal.jsonl").read_text().splitlines()]
    steps = [event["task"] for event in events if event["event"] == "step"]
    assert steps[:5] == ["teacher"] * 4 + ["auxiliary"]  # as many epochs as the ancestor's
    learned = [Learngene.load(tmp_path / name / "learngene.safetensors").tensors for name in ("plain", "taught")]
    assert any(not torch.equal(value, learned[1][name]) for name, value in learned[0].items())


def test_a_learngene_has_no_teacher(ancestor, tmp_path):
    path = run(tmp_path, ancestor)["learngene"]["path"]
    settings = SETTINGS.model_copy(update={"learngene": path, "teacher_depth": 5})
    with pytest.raises(ConfigError, match="teacher: expected none beside a learngene"):
        Family(settings, ancestor, None, Interrupting())


def test_stages_of_a_transformer_are_those_of_the_paper(ancestor, tmp_path):
    text = "depth=16,width=16,heads=2,ratio=2,patch=4"
    architecture = VISION_TRANSFORMER.parse(text)
    config = NetworkConfig(10, ancestor.dataset.image_shape)
    network = GraphNetwork(VISION_TRANSFORMER.to_graph(architecture, config), 0).eval()
    recipe = TrainingRecipe(epochs=1, learning_rate=1e-3, optimizer="adamw", warmup_epochs=0)
    transformer = Ancestor(
        VISION_TRANSFORMER, architecture, config, network, ancestor.dataset, recipe, ancestor.lineage
    )
    assert transformer.own_sizes == (16, 16)
    settings = SETTINGS.model_copy(
        update={"depths": (16,), "widths": (16,), "stages": (3, 3, 4, 3, 3), "elastic": False, "epochs": 1}
    )
    run(tmp_path, transformer, settings=settings)
    learngene = Learngene.load(tmp_path / "learngene.safetensors")
    twelve, _ = VISION_TRANSFORMER.resized(architecture, config, depth=12)
    descendant = learngene.expand(VISION_TRANSFORMER.to_graph(twelve, config))
    weights = [descendant.nodes[f"blocks/{index}/mlp/hidden"].weight for index in range(12)]
    groups = [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4]  # the map that SWS publishes for 12 layers
    for i in range(12):
        for j in range(12):
            assert torch.equal(weights[i], weights[j]) == (groups[i] == groups[j])
    norms = [descendant.nodes[f"blocks/{index}/norm1"].weight for index in (0, 2)]
    assert torch.equal(*norms)  # layer norms are shared, as in SWS
    few, _ = VISION_TRANSFORMER.resized(architecture, config, depth=4)
    with pytest.raises(ConfigError, match="expected at least 5 units from blocks/0 on, one for each stage, got 4"):
        learngene.expand(VISION_TRANSFORMER.to_graph(few, config))


@pytest.mark.parametrize(("depths", "sizes", "message"), [
    ((), ("tiny",), "expected names among small, medium, large, and no --depths beside them, got tiny"),
    ((3,), ("small",), "got small and depths"),
    ((5000,), (), "expected depths and widths of at most 4096, got 5000"),
])  # fmt: skip
def test_sizes_that_cannot_be(depths, sizes, message):
    with pytest.raises(ConfigError, match=message):
        chosen_sizes(4, 16, depths=depths, widths=(), sizes=sizes)
