"""Workers fine-tune the answers of an elastic search, from the supernet's weights, as the run itself would."""

import pytest

from nasengine import registry
from nasengine.distribution.dispatch import Dispatcher
from nasengine.pipeline import Parts, Search
from nasengine.pipeline.workers import TRAINING
from nasengine.store import RunStore
from nasengine.strategies import RegularizedEvolution
from tests.distribution.test_dispatch import Counting, ThreadWorker, outcome
from tests.pipeline.test_elastic_search import LARGEST, SMALLEST, SPACE, make, quick_export

LIMIT = (SMALLEST.macs + LARGEST.macs) // 2
NETWORKS = ("random_baseline", "winner", f"within-{LIMIT}")


def search(folder, with_workers):
    """A run with a further limit: its summary, and the states of the networks' trainings."""
    plain = make(also_macs=[LIMIT])
    settings, images = plain.settings, plain.dataset
    workers = Dispatcher(lambda _: ThreadWorker(images), 2, Counting()) if with_workers else None
    parts = Parts(SPACE, images, quick_export, RegularizedEvolution, workers=workers)
    store = RunStore.create(folder, settings.model_dump(mode="json"))
    try:
        summary = outcome(Search(settings, parts, Counting()).run(store))
    finally:
        store.close()
    for row in summary["within"]:
        del row["onnx"]
    return summary, [store.last("step", task=name)["state"] for name in NETWORKS], store


@pytest.mark.slow
def test_workers_give_the_same_answers_as_one_process(tmp_path, monkeypatch):
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda kind, name: SPACE if kind == "search space" else load(kind, name))
    found, states, store = search(tmp_path / "spread", with_workers=True)
    assert sorted((event["kind"], event["name"]) for event in store.find("part")) == [
        (TRAINING, name) for name in NETWORKS
    ]
    expected, expected_states, _ = search(tmp_path / "serial", with_workers=False)
    assert len(found["within"]) == 1
    assert found == expected
    assert states == expected_states
