"""A finished run whose page has every part: searches are real; predictor, family and export are as they are written."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from nasengine.assembly import load_device
from nasengine.data.digits import load
from nasengine.pipeline import Parts, Search, SearchSettings
from nasengine.protocols import ExportReport
from nasengine.report.html_page import page_of
from nasengine.report.progress import LineProgress
from nasengine.report.run_reading import RunContent, read_run
from nasengine.store import RunStore
from nasengine.strategies import RegularizedEvolution
from search_spaces.nasbench201 import NASBENCH201


def quick_export(network, images, path, metadata) -> ExportReport:
    """Stands in for the exporter, which takes seconds and is tested elsewhere."""
    path.write_bytes(b"")
    return ExportReport(path, 20, 0.0, 1.0, len(images))


def search(folder: Path, **changes) -> Path:
    """A finished search on some of the digits."""
    settings = SearchSettings.read({"space": "nasbench201", "data": "digits", "budget": "quick", **changes}, "test")
    dataset = load().reduced(300, 100, None, seed=0)
    device = load_device(settings)
    parts = Parts(NASBENCH201, dataset, quick_export, RegularizedEvolution, device=device)
    store = RunStore.create(folder, settings.model_dump(mode="json"))
    try:
        Search(settings, parts, LineProgress()).run(store)
    finally:
        store.close()
    return folder


@pytest.fixture(scope="session")
def perturbed(tmp_path_factory) -> Path:
    """A run with trained architecture weights, splits and perturbation."""
    folder = tmp_path_factory.mktemp("runs") / "perturbed"
    return search(folder, training="drnas", splits=1)


@pytest.fixture(scope="session")
def sampled(tmp_path_factory) -> Path:
    """A run with sampled paths and a device."""
    folder = tmp_path_factory.mktemp("runs") / "sampled"
    return search(folder, training="single-path", selection="sampled-paths", target="raspi4", max_latency_ms=1.5)


@pytest.fixture(scope="session")
def whole(sampled, perturbed) -> RunContent:
    """A run that has everything that a page can show."""
    content = read_run(sampled)
    changes = [event for event in read_run(perturbed).events if event.get("task", "").startswith("selection")]
    summary = content.summary | {"prediction": prediction_of(content.summary["leaves"])}
    answer = {name: summary["winner"][name] for name in ("genotype", "macs", "num_parameters", "test_accuracy")}
    summary["within"] = [{**answer, "limit": limit, "onnx": {"max_deviation": 1e-6}} for limit in (10**8, 10**9)]
    return dataclasses.replace(
        content, events=(*content.events, *changes), summary=summary, family=family(), card=card()
    )


@pytest.fixture(scope="session")
def whole_text(whole) -> str:
    """Its page."""
    return page_of(whole, NASBENCH201)


@pytest.fixture
def sampled_content(sampled) -> RunContent:
    """The run with sampled paths."""
    return read_run(sampled)


@pytest.fixture
def perturbed_content(perturbed) -> RunContent:
    """The run with perturbation; its supernet has learned for two more epochs, so that something changes."""
    content = read_run(perturbed)
    more = [event for event in content.events if event.get("task") == "leaf0"] * 2
    return dataclasses.replace(content, events=(*content.events, *more))


@pytest.fixture
def bare(tmp_path) -> Callable[..., RunContent]:
    """Makes a run that has just begun, with the events that are given."""

    def make(*events: dict, **settings) -> RunContent:
        begun = {"space": "nasbench201", "data": "digits", "budget": "quick", "seed": 0, **settings}
        first = {"event": "settings", "time": 1.0, "version": 1, "settings": begun}
        return RunContent(tmp_path, (first, *events), None, None, None, ())

    return make


def prediction_of(leaves: list[dict]) -> dict:
    """As the summary has it: the first is predicted to be best, the others to be equally good."""
    rows = [
        {"genotype": row["genotype"], "predicted_rank": 0.9 if number == 0 else 0.4, "std": 0.2,
         "validation_accuracy": 0.2 + 0.1 * number}
        for number, row in enumerate(leaves)
    ]  # fmt: skip
    return {"predictor": "gennape", "num_ranked": 40, "num_dropped": 36, "finalists": rows}


def family() -> dict:
    """As ``nasengine init`` writes it, for three depths."""
    members = [
        {"name": f"depth-{depth}-width-8", "depth": depth, "width": 8, "macs": 1000 * depth,
         "num_parameters": 100 * depth, "untuned_accuracy": 0.9, "test_accuracy": 0.92 + 0.01 * depth,
         "scratch_test_accuracy": 0.7}
        for depth in (1, 2, 3)
    ]  # fmt: skip
    learngene = {"num_values": 300, "num_values_of_members": 600, "ratio": 2.0}
    settings = {"learngene": None, "epochs": 10, "tuning_epochs": 1}
    return {"members": members, "learngene": learngene, "settings": settings, "seconds": 3.0,
            "lineage": {"test_accuracy": 0.95}}  # fmt: skip


def card() -> dict:
    """As ``nasengine export`` writes it."""
    latency = {"p50_ms": 0.02, "p95_ms": 0.03, "cpu": "a processor"}
    row = {"name": "model.onnx", "data_type": "float32", "size_bytes": 80296, "test_accuracy": 0.97,
           "top1_agreement": 1.0, "method": "as trained", "latency": latency}  # fmt: skip
    files = [row, row | {"name": "model.int8.onnx", "data_type": "int8", "latency": None}]
    return {"files": files, "target": None, "licence": "not stated", "made": {"versions": {"torch": "2.9"}}}
