"""Runs that are spread over workers: their outcome is that of a run in one process, whatever happens to a worker."""

from itertools import chain, repeat

import pytest

from nasengine.data.digits import load
from nasengine.distribution.dataset_message import dataset_message, read_dataset
from nasengine.distribution.dispatch import Dispatcher, WorkerDiedError
from nasengine.distribution.messages import DONE, message, read_message, request
from nasengine.distribution.performing import perform
from nasengine.distribution.ray_workers import Performer
from nasengine.errors import WorkerError
from nasengine.pipeline import Parts, Search, SearchSettings
from nasengine.pipeline.workers import FINALIST, LEAF, TRAINING, Part, Work
from nasengine.protocols import ExportReport
from nasengine.store import RunStore
from nasengine.strategies import RegularizedEvolution
from search_spaces.nasbench201 import NASBENCH201

SETTINGS = SearchSettings.read(
    {"space": "nasbench201", "data": "digits", "budget": "quick", "seed": 3, "threads": 1,
     "training": "single-path", "selection": "sampled-paths"}, "test"
)  # fmt: skip
"""Two leaves that propose two architectures each: two rounds, in the second of which finalists are trained."""


class Counting:
    """Progress that remembers steps."""

    def __init__(self):
        self.steps = []

    def begin(self, task, num_steps, done): ...

    def advance(self, task, step, metrics):
        self.steps.append((task, step))


class ThreadWorker(Performer):
    """What runs on a cluster, here in a thread; ``deaths`` says, by kind of part, before which report it dies."""

    def __init__(self, dataset, deaths=None):
        super().__init__(dataset_message(dataset))
        self.deaths = deaths or {}

    def begin(self, request):
        kind = read_message(request)[0]["part"]["kind"]
        self.left = next(self.deaths.get(kind, iter(())), None)
        super().begin(request)

    def next(self):
        found = super().next()
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise WorkerDiedError("shot")
        return found

    def close(self): ...


def quick_export(network, images, path, metadata):
    path.write_bytes(b"")
    return ExportReport(path, 20, 0.0, 1.0, len(images))


def images():
    return load().reduced(200, 60, None, seed=0)


def search(folder, start=None, count=2):
    """A small search, new or resumed, with workers where ``start`` makes them."""
    progress = Counting()
    workers = None if start is None else Dispatcher(start, count, progress)
    part = Search(SETTINGS, Parts(NASBENCH201, images(), quick_export, RegularizedEvolution, workers=workers), progress)
    content = SETTINGS.model_dump(mode="json")
    store = RunStore.open(folder) if folder.exists() else RunStore.create(folder, content)
    try:
        return outcome(part.run(store)), progress.steps, store
    finally:
        store.close()


def outcome(summary):
    """All but times and places."""
    return {name: value for name, value in summary.items() if name not in ("run", "seconds", "onnx")}


def race_of(store):
    """Who was in the race and what each round came to, and the states of all finalists: weights, momenta, measures."""
    rounds = [(e["number"], e["validation_accuracy"], e["validation_loss"], e["alive"]) for e in store.find("round")]
    steps = {(e["task"], e["step"]): e["state"] for e in store.find("step") if e["task"].startswith("finalist")}
    return store.last("finalists")["genotypes"], rounds, steps


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    return search(tmp_path_factory.mktemp("serial") / "run")


def test_workers_give_the_same_as_one_process(tmp_path, serial):
    found, steps, store = search(tmp_path / "run", lambda _: ThreadWorker(images()))
    assert found == serial[0]
    assert sorted(steps) == sorted(serial[1])
    assert race_of(store) == race_of(serial[2])
    names, rounds, states = race_of(store)
    assert (len(names), [len(alive) for *_, alive in rounds], len(states)) == (4, [2, 1], 4 * 2 + 2 * 2)
    done = [(event["kind"], event["name"]) for event in store.find("part")]
    raced = [(FINALIST, f"{index} in round 1") for index in rounds[0][-1]]
    assert sorted(done) == [*raced, (LEAF, "0"), (LEAF, "1"), (TRAINING, "random_baseline"), (TRAINING, "winner")]


def test_what_a_dead_worker_did_is_not_done_again(tmp_path, serial):
    # In the middle of both leaves; after a finalist's epoch, and after a measurement whose end is not reported.
    deaths = {LEAF: iter([6, 4]), FINALIST: iter([2, 3])}
    made = []

    def start(slot):
        made.append(slot)
        return ThreadWorker(images(), deaths)

    found, steps, store = search(tmp_path / "run", start)
    assert len(made) == 2 + 4  # the others are kept
    assert found == serial[0]
    assert sorted(steps) == sorted(serial[1])
    assert race_of(store) == race_of(serial[2])


@pytest.mark.slow
def test_a_race_that_is_interrupted_goes_on_without_workers(tmp_path, serial):
    deaths = {FINALIST: chain([2, 2], repeat(1))}  # an epoch is reported before all die at their first step
    with pytest.raises(WorkerError, match=r"finalist \d in round 1: .* got 3 that died \(shot\)"):
        search(tmp_path / "run", lambda _: ThreadWorker(images(), deaths))
    found, steps, store = search(tmp_path / "run")
    assert found == serial[0]
    assert race_of(store) == race_of(serial[2])
    assert not [task for task, _ in steps if task.startswith(("supernet", "leaf", "selection"))]
    raced = [step for task, step in steps if task.startswith("finalist")]
    assert set(raced) <= {2, 3}  # the second round's
    assert len(raced) <= 3  # of four: one epoch at least was done


def test_a_part_whose_workers_always_die_is_given_up(tmp_path):
    with pytest.raises(WorkerError, match=r"leaf [01]: .* got 3 that died \(shot\); see that memory suffices"):
        search(tmp_path / "run", lambda _: ThreadWorker(images(), {LEAF: repeat(2)}))


def test_other_images_on_a_worker_are_refused(tmp_path):
    others = load().reduced(180, 60, None, seed=1)
    with pytest.raises(WorkerError, match="leaf [01]: .*expected the images that the run began with"):
        search(tmp_path / "run", lambda _: ThreadWorker(others))


def test_parts_that_are_done_are_not_given_away(tmp_path):
    store = RunStore.create(tmp_path / "run", {})
    store.record("part", kind=LEAF, name="0")

    made = []
    Dispatcher(made.append, 1, Counting()).do(Work([Part(LEAF, "0", ())], {}, store))
    store.close()
    assert made == []


class DoneAtOnce:
    """A worker of which nothing is asked but to be there."""

    def __init__(self, ended):
        self.ended = ended

    def begin(self, content): ...

    def next(self):
        return message({"kind": DONE})

    def close(self):
        self.ended.append(self)


def test_workers_are_kept_for_work_that_follows_and_ended_after_it(tmp_path):
    store = RunStore.create(tmp_path / "run", {})
    made, ended = [], []
    dispatcher = Dispatcher(lambda slot: made.append(slot) or DoneAtOnce(ended), 1, Counting())
    with dispatcher.kept():
        for name in ("0", "1"):
            dispatcher.do(Work([Part(LEAF, name, ())], {}, store))
        assert (made, ended) == ([0], [])
    assert len(ended) == 1
    dispatcher.do(Work([Part(LEAF, "2", ())], {}, store))
    assert (made, len(ended)) == ([0, 0], 2)
    assert [event["name"] for event in store.find("part")] == ["0", "1", "2"]
    store.close()


def test_a_worker_that_cannot_be_started_ends_the_run_and_not_in_silence(tmp_path):
    def start(slot):
        raise PermissionError("no more processes")

    with pytest.raises(WorkerError, match=r"leaf [01]: PermissionError: no more processes"):
        search(tmp_path / "run", start)


def test_another_version_is_refused(tmp_path):
    store = RunStore.create(tmp_path / "run", {})
    values, files = read_message(request(Work([], {}, store), Part(LEAF, "0", ())))
    store.close()
    assert values["events"]["run"] == store.events
    reports = []
    perform(message({**values, "version": "0.0"}, files), reports.append)
    assert "got one of 0.0; install the same version" in read_message(reports[-1])[0]["reason"]


def test_images_travel_unchanged():
    there = read_dataset(dataset_message(images()))
    assert there.fingerprint() == images().fingerprint()
    assert (there.name, there.class_names, there.mean) == (images().name, images().class_names, images().mean)
