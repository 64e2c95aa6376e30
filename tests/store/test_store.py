"""Journal, artifacts, locks and run folders."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nasengine.checkpoint import load_weights, pack, unpack
from nasengine.errors import StoreError
from nasengine.protocols import TaskState
from nasengine.store import ArtifactStore, Journal, RunStore, list_runs
from nasengine.store.artifacts import write_file
from nasengine.store.run_store import read_settings


def test_torn_last_lines_are_as_if_never_written(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    for number in range(3):
        journal.append({"event": "x", "number": number})
    whole = journal.path.read_bytes()
    second_end = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for cut in range(second_end, len(whole)):
        journal.path.write_bytes(whole[:cut])
        assert [event["number"] for event in journal.read()] == [0, 1]
        journal.repair()
        journal.append({"event": "x", "number": 9})
        assert [event["number"] for event in journal.read()] == [0, 1, 9]


def test_damage_before_the_end_is_an_error(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event": "a"}\nnonsense\n{"event": "b"}\n')
    with pytest.raises(StoreError, match="journal.jsonl, line 2: expected a JSON object"):
        Journal(path).read()


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append({"event": "x", "number": 0})
    before = journal.path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="could not write .No space left on device.; free space and resume"):
        journal.append({"event": "x", "number": 1})
    with pytest.raises(StoreError, match="No space left on device"):
        write_file(tmp_path / "file", b"content")
    assert journal.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["journal.jsonl"]


def test_artifacts_are_named_and_checked_by_their_content(tmp_path):
    artifacts = ArtifactStore(tmp_path / "artifacts")
    name = artifacts.put(b"content", "txt")
    assert artifacts.put(b"content", "txt") == name
    assert artifacts.get(name) == b"content"
    (tmp_path / "artifacts" / name).write_bytes(b"changed")
    with pytest.raises(StoreError, match="expected content that matches its name"):
        artifacts.get(name)
    artifacts.keep_only(set())
    with pytest.raises(StoreError, match="expected a file that the journal names"):
        artifacts.get(name)


def test_states_go_both_ways_and_equal_states_have_equal_bytes():
    state = TaskState({"b": torch.rand(2, 3).T, "a": torch.arange(3)}, {"step": 3, "names": ["x"]})
    content = pack(state)
    again = unpack(content)
    assert again.values == state.values
    assert all(torch.equal(again.tensors[name], state.tensors[name]) for name in state.tensors)
    assert pack(again) == content
    assert unpack(pack(TaskState())).values == {}
    with pytest.raises(StoreError, match="expected a safetensors file with values"):
        unpack(b"nonsense that is long enough")


def test_weights_are_read_from_safetensors_only(tmp_path):
    (tmp_path / "weights").write_bytes(pack(TaskState({"a": torch.ones(2)})))
    assert load_weights(str(tmp_path / "weights"))["a"].tolist() == [1, 1]
    (tmp_path / "weights").write_bytes(b"\x80\x04pickle")
    with pytest.raises(StoreError, match="expected a safetensors file"):
        load_weights(str(tmp_path / "weights"))


def test_checkpoints_replace_each_other_and_survive_reopening(tmp_path):
    store = RunStore.create(tmp_path / "run", {"seed": 1})
    for step in range(3):
        store.checkpoint("task", step, f"state {step}".encode(), {"loss": step}, 0.1)
    store.checkpoint("other", 0, b"state", {}, 0.1)
    assert len(list((tmp_path / "run" / "artifacts").iterdir())) == 2
    (tmp_path / "run" / "artifacts" / ".writing-leftover").write_bytes(b"")
    store.close()
    store = RunStore.open(tmp_path / "run")
    assert store.settings == {"seed": 1}
    last = store.last("step", task="task")
    assert (last["step"], store.artifacts.get(last["state"])) == (2, b"state 2")
    assert len(list((tmp_path / "run" / "artifacts").iterdir())) == 2
    store.close()


def test_what_is_discarded_is_to_be_done_again(tmp_path):
    store = RunStore.create(tmp_path / "run", {})
    for task in ("kept", "dropped"):
        store.checkpoint(task, 0, task.encode(), {}, 0.1)
    store.record("test", network="dropped")
    store.write_summary({})
    for _ in range(2):  # there is nothing to discard the second time
        store.discard(["dropped"], ["test"])
    assert list_runs(tmp_path)[0].status == "in kept"
    store.checkpoint("dropped", 0, b"anew", {}, 0.1)
    store.close()
    lines = Journal(tmp_path / "run" / "journal.jsonl").read()
    kinds = ["settings", "step", "step", "test", "discarded", "step"]
    assert [line["event"] for line in lines] == kinds
    again = RunStore.open(tmp_path / "run")
    assert [event["event"] for event in again.events] == ["settings", "step", "discarded", "step"]
    assert again.artifacts.get(again.last("step", task="dropped")["state"]) == b"anew"
    assert again.last("test") is None
    assert len(list((tmp_path / "run" / "artifacts").iterdir())) == 2
    again.close()


def test_one_process_at_a_time(tmp_path):
    store = RunStore.create(tmp_path / "run", {})
    folder = str(tmp_path / "run")
    code = f"from pathlib import Path; from nasengine.store import RunStore; RunStore.open(Path({folder!r}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "expected no other process to work on it" in result.stderr
    store.close()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_folders_that_are_no_runs(tmp_path):
    with pytest.raises(StoreError, match=r"expected a journal.jsonl in it, got no folder"):
        read_settings(tmp_path / "missing")
    with pytest.raises(StoreError, match=r"got a folder without one"):
        read_settings(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="expected a new or empty folder"):
        RunStore.create(tmp_path, {})
    with pytest.raises(StoreError, match="could not be made"):
        RunStore.create(tmp_path / "file", {})
    (tmp_path / "journal.jsonl").write_text('{"event": "step"}\n')
    with pytest.raises(StoreError, match="expected a journal that begins with settings"):
        RunStore.open(tmp_path)
    (tmp_path / "journal.jsonl").write_text('{"event": "settings", "version": 99, "settings": {}}\n')
    with pytest.raises(StoreError, match="expected version 1, got 99"):
        RunStore.open(tmp_path)


def test_runs_are_listed_with_their_status(tmp_path):
    for name in ("first", "second"):
        RunStore.create(tmp_path / name, {"name": name}).close()
    store = RunStore.open(tmp_path / "second")
    store.checkpoint("supernet", 0, b"", {}, 0.0)
    store.close()
    (tmp_path / "first" / "summary.json").write_text(json.dumps({"winner": {}}))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "journal.jsonl").write_text("x\ny\n")
    found = {run.folder.name: run.status for run in list_runs(tmp_path)}
    assert found == {"first": "finished", "second": "in supernet", "broken": "damaged"}
    (tmp_path / "first" / "summary.json").write_text("{bad")
    assert {run.folder.name: run.status for run in list_runs(tmp_path)}["first"] == "damaged"


def test_a_run_that_died_before_its_first_line_can_begin_again(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "lock").write_text("")
    (folder / "journal.jsonl").write_text('{"event": "sett')
    store = RunStore.create(folder, {"seed": 1})
    store.close()
    assert read_settings(folder) == {"seed": 1}


def test_nothing_is_left_when_the_first_line_cannot_be_written(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        RunStore.create(tmp_path / "run", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ['{"event": "step", "task": "supernet"}', '{"event": "step", "step": "1"}'])
def test_steps_that_say_too_little_are_named(tmp_path, line):
    RunStore.create(tmp_path / "run", {}).close()
    with (tmp_path / "run" / "journal.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(StoreError, match="line 2: expected a step with task, step, state, metrics"):
        RunStore.open(tmp_path / "run")


def test_light_modules_do_not_import_torch():
    code = (
        "import sys, nasengine.errors, nasengine.graph, nasengine.architecture, nasengine.protocols, nasengine.store, "
        "nasengine.cells, nasengine.registry, search_spaces.darts, search_spaces.nasbench201, cli\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'nni', 'ray', 'matplotlib', 'sklearn', 'pydantic', 'networkx'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert done.stdout == "\n"
