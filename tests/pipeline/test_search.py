"""The pipeline in one process, on real digits at the quick budget of the smaller space."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from export.onnx import export_onnx
from nasengine.data.digits import load
from nasengine.errors import ConfigError, GraphError, StoreError, TrainingError
from nasengine.pipeline import Parts, Search, SearchSettings
from nasengine.pipeline.exporting import without_auxiliary
from nasengine.protocols import ExportReport
from nasengine.store import RunStore
from nasengine.strategies import RegularizedEvolution
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201


class Silent:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int, int]] = []
        self.steps: list[tuple[str, int]] = []

    def begin(self, task, num_steps, done) -> None:
        self.begun.append((task, num_steps, done))

    def advance(self, task, step, metrics) -> None:
        self.steps.append((task, step))


def quick_export(network, images, path, metadata) -> ExportReport:
    """Stands in for the exporter where it is not what is tested: it takes seconds."""
    path.write_bytes(b"")
    return ExportReport(path, 20, 0.0, 1.0, len(images))


_QUICK = NASBENCH201.scales["quick"]
BRIEF = replace(NASBENCH201, scales={"quick": replace(_QUICK, final=replace(_QUICK.final, epochs=3))})
"""Trains its networks for 3 epochs instead of 10: most of what is tested does not depend on what is learned."""


def make(exporter=quick_export, space=BRIEF, num_images=300, **changes) -> tuple[Search, Silent]:
    """A search on some of the digits."""
    dataset = load().reduced(num_images, 100, None, seed=0)
    settings = SearchSettings.read({"space": space.name, "data": "digits", "budget": "quick", **changes}, "test")
    progress = Silent()
    return Search(settings, Parts(space, dataset, exporter, RegularizedEvolution), progress), progress


def run(folder, **changes):
    search, progress = make(**changes)
    store = RunStore.create(folder, search.settings.model_dump())
    try:
        return search.run(store), store, progress
    finally:
        store.close()


DARTS_WAY = {"training": "darts", "selection": "magnitude", "splits": 0}


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> Path:
    """A finished run by the method of DARTS."""
    folder = tmp_path_factory.mktemp("searched") / "run"
    run(folder, **DARTS_WAY)
    return folder


@pytest.fixture
def winner(searched) -> dict:
    """What came out of it."""
    return json.loads((searched / "summary.json").read_text())["winner"]


def test_a_whole_run(tmp_path):
    summary, store, progress = run(tmp_path / "run", exporter=export_onnx, num_images=None, space=NASBENCH201)
    winner, baseline = summary["winner"], summary["random_baseline"]
    assert NASBENCH201.parse(winner["genotype"]) != NASBENCH201.parse(baseline["genotype"])
    assert 0.5 < winner["test_accuracy"] <= 1.0
    assert summary["onnx"]["max_deviation"] < 1e-4
    assert (tmp_path / "run" / "winner.onnx").stat().st_size > 0
    assert (store.artifacts.folder / f"{winner['weights_sha256']}.safetensors").is_file()
    tested = next(index for index, event in enumerate(store.events) if event["event"] == "test")
    assert all(event["event"] in ("test", "export") for event in store.events[tested:])
    search, again = make(exporter=export_onnx, num_images=None, space=NASBENCH201)
    store = RunStore.open(tmp_path / "run")
    assert search.run(store)["winner"] == winner
    assert again.steps == []
    assert search.trained_winner(store).graph == search.space.to_graph(
        search.space.parse(winner["genotype"]), search.architecture_search.final_config
    )
    store.close()
    assert progress.begun[0] == ("supernet", 2, 0)


@pytest.mark.parametrize(
    ("training", "selection", "splits"),
    [
        ("fixed", "perturbation", 0),
        ("darts-second-order", "magnitude", 0),
        ("single-path", "sampled-paths", 1),
        ("snas", "perturbation", 0),
        ("beta-darts", "magnitude", 1),
        ("drnas", "magnitude", 0),
        ("proxyless", "magnitude", 0),
    ],
)
def test_every_way_of_searching(tmp_path, training, selection, splits):
    summary, _, _ = run(tmp_path / "run", training=training, selection=selection, splits=splits)
    assert summary["settings"]["training"] == training
    assert len(summary["splits"]) == splits
    NASBENCH201.parse(summary["winner"]["genotype"])


def test_a_whole_supernet_proposes_several_paths_by_loss(tmp_path):
    summary, store, _ = run(tmp_path / "run", training="single-path", selection="sampled-paths", splits=0)
    steps = [event["metrics"] for event in store.find("step", task="selection")]
    assert len(steps) == 10
    best = sorted({step["genotype"]: step["loss"] for step in steps}.items(), key=lambda entry: entry[1])[:2]
    (ended,) = store.find("round")
    assert set(ended["validation_accuracy"]) == {"0", "1"}
    assert summary["winner"]["genotype"] in [genotype for genotype, _ in best]


def test_a_search_with_split_supernets(tmp_path):
    summary, store, progress = run(tmp_path / "run", splits=1, training="fixed")
    (split,) = summary["splits"]
    winner = summary["winner"]["genotype"]
    assert len(split["parts"][0]["groups"]) == 2
    begun = [task for task, _, _ in progress.begun]
    assert begun[:6] == ["supernet", "leaf0", "selection-leaf0", "leaf1", "selection-leaf1", "finalist0"]
    assert {row["leaf"] for row in summary["leaves"]} == {0, 1}
    assert min(summary["leaves"], key=lambda row: row["validation_loss"])["genotype"] == winner
    assert not any(event["event"] == "test" for event in store.events[:-4])


def test_a_leaf_that_diverges_does_not_stop_the_others(tmp_path):
    search, progress = make(splits=1, training="fixed")
    broken = search.architecture_search._parts

    def parts(leaf, supernet):
        training, selection = broken(leaf, supernet)
        if leaf == 0:
            with torch.no_grad():
                next(supernet.parameters()).fill_(float("nan"))
        return training, selection

    search.architecture_search._parts = parts
    store = RunStore.create(tmp_path / "run", search.settings.model_dump())
    summary = search.run(store)
    assert list(summary["failed_leaves"]) == ["0"]
    assert "expected a finite loss, got nan" in summary["failed_leaves"]["0"]
    assert "selection-leaf1" in [task for task, _, _ in progress.begun]
    store.close()
    again, progress = make(splits=1, training="fixed")
    store = RunStore.open(tmp_path / "run")
    assert again.run(store)["winner"] == summary["winner"]
    assert progress.steps == []
    store.close()


def test_a_run_without_a_good_leaf_fails(tmp_path):
    search, _ = make(splits=1, training="fixed", learning_rate=9.0)
    store = RunStore.create(tmp_path / "run", search.settings.model_dump())
    search.architecture_search._search_supernet = diverge
    with pytest.raises(TrainingError, match="all 2 leaves failed; the first: leaf0: expected a finite loss"):
        search.run(store)
    store.close()


def diverge(leaf, *_):
    raise TrainingError(f"leaf{leaf}: expected a finite loss")


def test_test_images_do_not_influence_the_search(winner, tmp_path):
    """With other test images, everything but the test accuracies stays the same."""
    search, _ = make(**DARTS_WAY)
    spoiled = search.dataset.test.images
    spoiled.copy_(torch.randint(0, 255, spoiled.shape, generator=torch.Generator().manual_seed(0)))
    store = RunStore.create(tmp_path / "second", {})
    other = search.run(store)["winner"]
    store.close()
    assert winner["weights_sha256"] == other["weights_sha256"]
    assert winner["test_accuracy"] != other["test_accuracy"]


def test_seeds_matter_and_repeat(winner, tmp_path):
    same, other = (run(tmp_path / str(seed), seed=seed, **DARTS_WAY)[0]["winner"] for seed in (0, 1))
    assert same == winner
    NASBENCH201.parse(winner["genotype"])
    assert other["weights_sha256"] != winner["weights_sha256"]


def test_other_images_are_noticed(searched):
    search, _ = make(**DARTS_WAY)
    search.dataset.train.images.add_(1)
    store = RunStore.open(searched)
    with pytest.raises(StoreError, match="expected the images that the run began with"):
        search.run(store)
    store.close()


def test_unfinished_runs_have_no_winner(tmp_path):
    search, _ = make()
    store = RunStore.create(tmp_path / "run", {})
    with pytest.raises(StoreError, match="expected a finished run.*nasengine search --resume"):
        search.trained_winner(store)
    store.close()


def test_images_that_are_too_small_fail_on_construction():
    tiny = load().reduced(None, None, 1, seed=0)
    assert tiny.image_shape == (1, 1, 1)
    settings = SearchSettings.read({"space": "darts", "data": "digits", "budget": "quick"}, "test")
    with pytest.raises(GraphError, match=r"expected a non-empty output|use larger images"):
        Search(settings, Parts(DARTS, tiny, quick_export, RegularizedEvolution), Silent())


def test_networks_with_an_auxiliary_classifier_lose_it():
    from nasengine.network import GraphNetwork

    config = replace(DARTS.defaults, channels=4, cells=6, auxiliary_head=True)
    architecture = DARTS.sample(random.Random(0))
    network = GraphNetwork(DARTS.to_graph(architecture, config), seed=0).eval()
    images = torch.randn(2, 3, 32, 32)
    alone = without_auxiliary(network)
    assert len(alone.graph.outputs) == 1
    torch.testing.assert_close(alone(images), network(images)[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": "huge"}, "test, budget: input should be 'quick', 'standard' or 'full', got 'huge'"),
        (
            {"training": "darts", "selection": "sampled-paths"},
            "expected sampled-paths after single-path",
        ),
        ({"training": "fixed", "selection": "magnitude"}, "expected trained architecture weights"),
        ({"learning_rate": -1.0}, "--learning-rate: expected a number between 0 and 10, got -1.0"),
        ({"surprise": 1}, "surprise: extra inputs are not permitted"),
        ({"budget": "huge", "seed": "x"}, "budget: .*; test, seed: "),
        ({"splits": 1, "preset": "darts"}, "--preset: expected no --splits beside it"),
        ({"preset": "nasbench201-single-path"}, "expected a preset made for --training fixed"),
        ({"splits": 7}, "splits: input should be less than or equal to 6, got 7"),
        ({"seed": -1}, "seed: input should be greater than or equal to 0, got -1"),
    ],
)
def test_settings_that_cannot_work_are_all_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        SearchSettings.read({"space": "darts", "data": "digits", **changes}, "test")


def test_learning_rates_can_be_overridden():
    search, _ = make(learning_rate=0.01)
    assert search.scale.supernet.learning_rate == search.scale.final.learning_rate == 0.01


def test_a_predictor_proposes_architectures_and_drops_the_rest(tmp_path):
    from nasengine.report.run_picture import draw_run
    from predictors.gennape.gennape import Gennape

    changes = {"predictor": "gennape", "pool": 20, "predicted_finalists": 2, "splits": 1}
    settings = SearchSettings.read({"space": "nasbench201", "data": "digits", "budget": "quick", **changes}, "test")
    parts = Parts(
        NASBENCH201,
        load().reduced(300, 100, None, seed=0),
        quick_export,
        RegularizedEvolution,
        Gennape.load_pretrained(),
    )
    store = RunStore.create(tmp_path / "run", settings.model_dump())
    summary = Search(settings, parts, Silent()).run(store)
    found = summary["prediction"]
    leaves = {row["genotype"] for row in summary["leaves"]}
    assert {row["genotype"] for row in found["finalists"]} == leaves
    assert found["num_ranked"] == found["num_dropped"] + len(leaves)
    assert 3 <= len(leaves) <= 4
    assert all(0 <= row["predicted_rank"] <= 1 and row["validation_accuracy"] > 0 for row in found["finalists"])
    draw_run(store.events, NASBENCH201, summary, tmp_path / "report.png")
    store.close()
    store, again = RunStore.open(tmp_path / "run"), Silent()
    assert Search(settings, parts, again).run(store)["prediction"] == found
    assert again.steps == []
    store.close()
