"""Searches whose every batch is shared by two processes of torchrun, some of them shot."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nasengine.commands.data_parallel import VARIABLES, OwnProcess, resume_command
from nasengine.errors import ConfigError
from nasengine.store import Journal

ROOT = Path(__file__).parents[2]
NASBENCH201 = ("--space", "nasbench201", "--budget", "quick", "--sizes", "small")


@pytest.mark.parametrize(
    ("workers", "expected", "message"),
    [("2", None, "--workers: expected none under torchrun"), (None, 3, "--resume: expected 3 processes .* got 2")],
    ids=["workers", "resume"],
)
def test_what_cannot_be_is_refused_before_processes_meet(monkeypatch, workers, expected, message):
    for name in VARIABLES:
        monkeypatch.setenv(name, "2")
    with pytest.raises(ConfigError, match=message):
        OwnProcess().join("cpu", workers, expected)


def test_a_shared_run_does_not_go_on_alone(tmp_path):
    command = "torchrun --nproc-per-node 2 -m cli"
    with pytest.raises(ConfigError, match=f"expected 2 processes .* got 1; go on with {command} search"):
        OwnProcess().join("cpu", None, 2)
    assert resume_command(tmp_path, 2) == f"{command} search --resume {tmp_path}"
    assert resume_command(tmp_path, 1) == f"nasengine search --resume {tmp_path}"


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """Two processes, whose temporary files lie in ``folder``."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "cli", "search", *arguments,
         "--json"],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
    )  # fmt: skip


def outcome(process: subprocess.Popen) -> dict:
    output, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors
    return json.loads(output)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("undisturbed")
    summary = outcome(start(folder / "temporary", *NASBENCH201, "--out", str(folder / "run")))
    assert not list((folder / "temporary").glob("nasengine-*"))
    return summary


def processes_of(process: subprocess.Popen, run: Path, num_steps: int) -> list[int]:
    """Of torchrun, in the order of their ranks, once the run has done some steps."""
    end = time.monotonic() + 200
    while sum(event["event"] == "step" for event in Journal(run / "journal.jsonl").read()) < num_steps:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    return sorted(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


@pytest.mark.slow
def test_two_processes_end_with_one_run(undisturbed):
    assert undisturbed["winner"]["test_accuracy"] > 0.9
    assert undisturbed["settings"]["processes"] == 2
    assert len(undisturbed["family"]["members"]) == 1
    run = Path(undisturbed["run"])
    assert [path.name for path in run.parent.iterdir() if path.name != "temporary"] == ["run"]
    for name in ("summary.json", "winner.onnx", "report.png", "family/summary.json"):
        assert (run / name).stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("num_steps", [1, 12])
def test_after_all_processes_were_shot_the_run_goes_on(tmp_path, undisturbed, num_steps):
    run = tmp_path / "run"
    process = start(tmp_path / "temporary", *NASBENCH201, "--out", str(run))
    for pid in (process.pid, *processes_of(process, run, num_steps)):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    summary = outcome(start(tmp_path / "temporary", "--resume", str(run)))
    for name in ("winner", "random_baseline", "decisions", "leaves"):
        assert summary[name] == undisturbed[name]
    assert summary["family"]["members"][0]["test_accuracy"] == undisturbed["family"]["members"][0]["test_accuracy"]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_without_one_the_other_ends_too(tmp_path, rank):
    run = tmp_path / "run"
    process = start(tmp_path / "temporary", *NASBENCH201, "--out", str(run))
    pids = processes_of(process, run, num_steps=1)
    os.kill(pids[rank], signal.SIGKILL)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output == "" or set(json.loads(output)) == {"error"}
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    if rank == 1:
        assert f"--resume {run}" in errors or "go on with --resume" in errors
    else:  # the other has put its folder away
        assert not list((tmp_path / "temporary").glob("nasengine-*"))


@pytest.mark.slow
def test_a_fault_of_all_is_said_once(tmp_path):
    process = start(
        tmp_path / "temporary", "--space", "nasbench201", "--data", "missing", "--out", str(tmp_path / "run")
    )
    output, errors = process.communicate(timeout=50)
    assert process.returncode == 1
    assert json.loads(output)["error"] in errors
    assert errors.count("missing") == 1
    assert "process 1:" not in errors
    assert not (tmp_path / "run").exists()
