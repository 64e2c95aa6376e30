"""Runs that are killed or interrupted, in processes of their own."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nasengine.store import Journal

NUM_KILLS = 10
SEARCH = [sys.executable, "-m", "cli", "search", "--space", "nasbench201", "--budget", "quick", "--json"]
ROOT = Path(__file__).parents[2]


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [*SEARCH, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def journal_size(folder: Path) -> int:
    path = folder / "journal.jsonl"
    return path.stat().st_size if path.exists() else 0


def wait_for_work(process: subprocess.Popen, folder: Path, more_than: int) -> bool:
    """Wait until the process has written to the journal; false if it ended before."""
    while journal_size(folder) <= more_than:
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    return True


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    process = start("--out", str(folder))
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return json.loads(output)


def test_killed_runs_end_as_undisturbed_ones(tmp_path, undisturbed):
    """Ten kills at random moments, each followed by a resume; then the same winner and the same bits."""
    rng = random.Random(os.environ.get("NASENGINE_KILL_SEED", "0"))
    kills, chains = 0, 0
    while kills < NUM_KILLS:
        folder = tmp_path / f"run{chains}"
        chains += 1
        finished = False
        arguments = ("--out", str(folder))
        while not finished:
            size = journal_size(folder)
            process = start(*arguments)
            if kills < NUM_KILLS and wait_for_work(process, folder, size):
                time.sleep(rng.uniform(0.0, 1.5))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
            output, errors = process.communicate(timeout=300)
            assert process.returncode in (0, -signal.SIGKILL), errors
            finished = process.returncode == 0
            arguments = ("--resume", str(folder)) if journal_size(folder) else arguments
        summary = json.loads(output)
        for name in ("winner", "random_baseline"):
            assert summary[name] == undisturbed[name]
        assert summary["onnx"]["top1_agreement"] == undisturbed["onnx"]["top1_agreement"]
        assert not list(folder.rglob(".writing-*"))
    assert kills == NUM_KILLS


def test_control_c_keeps_the_journal_and_says_how_to_go_on(tmp_path, undisturbed):
    folder = tmp_path / "run"
    process = start("--out", str(folder))
    assert wait_for_work(process, folder, 0)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == ""
    assert f"go on with: nasengine search --resume {folder}" in errors
    assert "Traceback" not in errors
    assert Journal(folder / "journal.jsonl").read()[0]["event"] == "settings"
    resumed = start("--resume", str(folder))
    output, errors = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, errors
    assert json.loads(output)["winner"] == undisturbed["winner"]
