"""Searches over an elastic supernet that is split: as without splits, but each genotype is measured in its leaf."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from nasengine.data.digits import load
from nasengine.errors import ConfigError
from nasengine.pipeline import Parts, Search, SearchSettings
from nasengine.pipeline.workers import LEAF
from nasengine.report.html_page import page_of
from nasengine.report.run_picture import draw_run
from nasengine.report.run_reading import read_run
from nasengine.store import RunStore
from nasengine.strategies import RegularizedEvolution
from tests.pipeline.test_elastic_search import SCALE, SPACE, WAYS
from tests.pipeline.test_search import Silent, quick_export

SHORT = replace(
    SCALE, warmup_epochs=2, leaf_epochs=1, scoring_batches=1, scoring_batch_size=16, sampled_paths=4,
)  # fmt: skip


def make(workers=None, **changes) -> Search:
    space = replace(SPACE, scales={"quick": SHORT})
    content = {"space": space.name, "data": "digits", "budget": "quick", "splits": 1, **WAYS, **changes}
    settings = SearchSettings.read(content, "test")
    parts = Parts(space, load().reduced(160, 60, None, seed=0), quick_export, RegularizedEvolution, workers=workers)
    return Search(settings, parts, Silent())


def run(folder, **changes):
    search = make(**changes)
    store = RunStore.create(folder, search.settings.model_dump(mode="json"))
    try:
        return search.run(store), search
    finally:
        store.close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return *run(folder), folder


def test_the_supernet_is_split_and_its_leaves_are_trained_before_the_selection(finished):
    summary, search, _ = finished
    assert [task for task, _, _ in search.progress.begun][:4] == ["supernet", "leaf0", "leaf1", "selection"]
    assert search.progress.steps[:5] == [("supernet", 0), ("supernet", 1), ("supernet", 2), ("leaf0", 0), ("leaf1", 0)]
    (level,) = summary["splits"]
    (part,) = level["parts"]
    assert part["place"] == SPACE.layers[tuple(part["edge"])].prefix
    assert sorted(name for group in part["groups"] for name in group) == sorted(part["candidates"])


def test_genotypes_are_measured_and_inherit_in_the_leaf_that_holds_them(finished):
    summary, search, _ = finished
    found = search.architecture_search
    leaves, winner = found._supernet, SPACE.parse(summary["winner"]["genotype"])
    number = leaves.leaf_of(winner)
    expected, other = (leaves.leaves[place].nodes["stem/conv"].weight for place in (number, 1 - number))
    begun = found.network(winner).nodes["stem/conv"].weight
    assert torch.equal(begun, expected)
    assert not torch.equal(begun, other)


def test_a_killed_run_goes_on_as_an_undisturbed_one(finished, tmp_path):
    expected, _, _ = finished

    class KilledError(Exception):
        pass

    for number, end in enumerate([("supernet", 1), ("supernet", 2), ("leaf0", 0), ("leaf1", 0), ("selection", 2)]):
        search = make()
        advance = search.progress.advance

        def kill(name, place, metrics, end=end, advance=advance):
            advance(name, place, metrics)
            if (name, place) == end:
                raise KilledError

        search.progress.advance = kill
        folder = tmp_path / "killed"
        content = search.settings.model_dump(mode="json")
        store = RunStore.open(folder) if number else RunStore.create(folder, content)
        with pytest.raises(KilledError):
            search.run(store)
        store.close()
    store = RunStore.open(tmp_path / "killed")
    summary = make().run(store)
    store.close()
    for name in ("winner", "random_baseline", "splits"):
        assert summary[name] == expected[name]


def test_leaves_that_workers_train_are_those_of_a_run_without_them(finished, tmp_path):
    expected, _, _ = finished

    class Elsewhere:
        """Does leaves and networks in searches of their own, as worker processes do."""

        def __init__(self) -> None:
            self.done: list[tuple[str, ...]] = []

        def kept(self):
            return nullcontext()

        def do(self, work) -> None:
            for part in reversed(work.parts):
                assert work.needed_tasks == (("supernet",) if part.kind == LEAF else ("supernet", "leaf0", "leaf1"))
                make().do(part, work.store)
                self.done.append(part.tasks)

    workers = Elsewhere()
    summary, search = run(tmp_path / "run", workers=workers)
    assert workers.done == [("leaf1",), ("leaf0",), ("random_baseline",), ("winner",)]
    assert not [task for task, _ in search.progress.steps if task.startswith(("leaf", "winner", "random"))]
    assert summary["winner"] == expected["winner"]


def test_page_and_picture_show_where_candidates_disagree(finished, tmp_path):
    summary, _, folder = finished
    content = read_run(folder)
    (part,) = summary["splits"][0]["parts"]
    text = page_of(content, None)
    assert f"level 1, part 0: {part['place']}" in text
    assert part["groups"][0][0] in text
    draw_run(content.events, SPACE, summary, tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_splits_that_cannot_be_are_refused_before_anything_is_trained():
    with pytest.raises(ConfigError, match="--splits: expected at most 4, .* got 5"):
        make(splits=5)
    with pytest.raises(ConfigError, match="--ways: expected 2 to 10, the most candidates"):
        make(ways=12)
    with pytest.raises(ConfigError, match="progressive shrinking: expected at least 5 epochs, .* got 2"):
        make(training="shrinking")
    with pytest.raises(ConfigError, match="--preset: expected none for space mobilenet, .* got darts"):
        make(splits=None, preset="darts")
