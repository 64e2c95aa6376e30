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

ROOT = Path(__file__).parents[2]
NASBENCH201 = ("--space", "nasbench201", "--budget", "quick")


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "search", *arguments, "--json"], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip


def undisturbed_run(folder: Path, settings: tuple[str, ...]) -> tuple[dict, float]:
    """Summary of a run that nothing disturbs, and the seconds of its whole process."""
    begin = time.monotonic()
    process = start(*settings, "--out", str(folder))
    output, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    return json.loads(output), time.monotonic() - begin


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[dict, float]:
    return undisturbed_run(tmp_path_factory.mktemp("undisturbed") / "run", NASBENCH201)


def has_begun(folder: Path) -> bool:
    return bool(Journal(folder / "journal.jsonl").read())


def check_kills(folder: Path, settings: tuple[str, ...], reference: dict, num_kills: int, longest: float) -> None:
    """Kill at random moments anywhere in the life of the process and go on; then the same winner and the same bits.

    A run that ends before all kills are spent is followed by another in a new folder.
    """
    rng = random.Random(os.environ.get("NASENGINE_KILL_SEED", "0"))
    kills = chains = 0
    while kills < num_kills:
        run = folder / f"run{chains}"
        chains += 1
        process = None
        while process is None or process.returncode != 0:
            arguments = ("--resume", str(run)) if has_begun(run) else (*settings, "--out", str(run))
            process = start(*arguments)
            if kills < num_kills:
                try:
                    process.wait(timeout=rng.uniform(0.0, longest))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
            output, errors = process.communicate(timeout=400)
            assert process.returncode in (0, -signal.SIGKILL), errors
        summary = json.loads(output)
        for name in ("winner", "random_baseline"):
            assert summary[name] == reference[name]
        assert summary["onnx"]["top1_agreement"] == reference["onnx"]["top1_agreement"]
        assert not list(run.rglob(".writing-*"))


@pytest.mark.slow
def test_killed_runs_end_as_undisturbed_ones(tmp_path, undisturbed):
    """Warm-up, splits, leaves, selection in each and halving take part: the budget splits the supernet."""
    summary, seconds = undisturbed
    check_kills(tmp_path, NASBENCH201, summary, num_kills=10, longest=seconds)


@pytest.mark.slow
def test_killed_darts_runs_end_as_undisturbed_ones(tmp_path):
    """The same through topology projection and both kinds of cells."""
    settings = ("--space", "darts", "--budget", "quick")
    summary, seconds = undisturbed_run(tmp_path / "undisturbed", settings)
    check_kills(tmp_path, settings, summary, num_kills=4, longest=seconds)


@pytest.mark.slow
def test_killed_runs_over_elastic_supernets_end_as_undisturbed_ones(tmp_path):
    """Both phases of the supernet, evolution within a limit, and fine-tuning."""
    settings = ("--space", "mobilenet", "--budget", "quick", "--max-macs", "5M")
    summary, seconds = undisturbed_run(tmp_path / "undisturbed", settings)
    check_kills(tmp_path, settings, summary, num_kills=4, longest=seconds)


@pytest.mark.slow
def test_control_c_keeps_the_journal_and_says_how_to_go_on(tmp_path, undisturbed):
    folder = tmp_path / "run"
    process = start(*NASBENCH201, "--out", str(folder))
    while not has_begun(folder):
        assert process.poll() is None
        time.sleep(0.01)
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
    assert json.loads(output)["winner"] == undisturbed[0]["winner"]
