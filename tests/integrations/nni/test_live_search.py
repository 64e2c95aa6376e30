"""A real search that is watched while it runs."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nasengine.store import Journal
from tests.integrations.nni.test_ui_command import Command

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


def test_a_search_is_followed_to_its_end_and_not_disturbed(tmp_path):
    run = tmp_path / "run"
    arguments = ["search", "--space", "nasbench201", "--budget", "quick", "--out", str(run), "--json"]
    search = subprocess.Popen(
        [sys.executable, "-m", "cli", *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not any(event.get("task") == "winner" for event in Journal(run / "journal.jsonl").read()):
        assert search.poll() is None, search.communicate()[1]
        time.sleep(0.1)
    command = Command(run, tmp_path)
    try:
        output, errors = search.communicate(timeout=400)
        assert search.returncode == 0, errors
        summary = json.loads(output)
        command.wait_for(lambda: command.told("/experiment").get("endTime") is not None)
        assert set(command.statuses().values()) <= {"SUCCEEDED", "EARLY_STOPPED"}
        compare(command, summary)
    finally:
        command.process.terminate()
        command.process.communicate(timeout=60)
    assert command.process.returncode == 0
    assert command.nothing_is_left()


def compare(command: Command, summary: dict) -> None:
    """What NNI tells, beside the summary of the run."""
    for name in ("winner", "random_baseline"):
        metrics = command.told(f"/metric-data/{name}")
        [final] = [json.loads(json.loads(metric["data"])) for metric in metrics if metric["type"] == "FINAL"]
        result = summary[name]
        assert (final["default"], final["macs"], final["params"], final["peak_bytes"]) == (
            result["test_accuracy"], result["macs"], result["num_parameters"], result["peak_activation_bytes"],
        )  # fmt: skip
        assert command.told(f"/trial-jobs/{name}")["message"] == result["genotype"]
        assert len(metrics) > 1
