"""``nasengine search --sizes`` and ``nasengine init`` as users type them."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app

ROOT = Path(__file__).parents[2]


def call(*arguments: str):
    return CliRunner().invoke(app, list(map(str, arguments)))


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished run that ends with a family."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    answer = call("search", "--space", "nasbench201", "--budget", "quick", "--sizes", "small,large", "--out", folder)
    assert answer.exit_code == 0, answer.output
    for label in ("winner", "depth-1-width-8", "depth-2-width-8", "learngene", "untuned", "from scratch"):
        assert label in answer.stdout
    return folder


def test_a_search_ends_with_a_family_that_has_learned(finished):
    names = {path.name for path in (finished / "family").iterdir()}
    assert {"learngene.safetensors", "depth-2-width-8.onnx", "depth-2-width-8.safetensors", "family.png"} <= names
    summary = json.loads((finished / "family" / "summary.json").read_text())
    for row in summary["members"]:
        assert row["untuned_accuracy"] > 0.8
        assert row["test_accuracy"] > row["scratch_test_accuracy"]
        assert row["onnx"]["max_deviation"] < 1e-4
    answer = json.loads(call("search", "--resume", finished, "--json").stdout)
    assert answer["family"]["members"] == summary["members"]


def test_a_run_that_was_moved_keeps_its_family(finished, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(finished, moved)
    (moved / "family" / "depth-1-width-8.onnx").write_bytes(b"damaged")
    (moved / "family" / "depth-1-width-8.safetensors").write_bytes(b"damaged")
    answer = call("search", "--resume", moved, "--json")
    assert answer.exit_code == 0, answer.output
    before = json.loads((finished / "family" / "summary.json").read_text())["members"]
    for row, known in zip(json.loads(answer.stdout)["family"]["members"], before, strict=True):
        assert row["test_accuracy"] == known["test_accuracy"]
        for path in (row["weights"], row["onnx"]["path"]):
            assert Path(path).parent == moved / "family"
            assert Path(path).stat().st_size > 1000
    weights = "depth-1-width-8.safetensors"
    assert (moved / "family" / weights).read_bytes() == (finished / "family" / weights).read_bytes()


def test_a_family_that_was_killed_goes_on(finished, tmp_path):
    arguments = ["init", finished, "--depths", "2", "--epochs", "3", "--tuning-epochs", "1", "--no-compare"]
    command = [sys.executable, "-m", "cli", *map(str, arguments), "--out", str(tmp_path / "killed"), "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = tmp_path / "killed" / "journal.jsonl"
    while not (journal.exists() and '"auxiliary"' in journal.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    rows = []
    for name in ("killed", "whole"):
        answer = call(*arguments, "--out", tmp_path / name, "--json")
        assert answer.exit_code == 0, answer.output
        rows.append([
            {key: row[key] for key in ("name", "untuned_accuracy", "test_accuracy")}
            for row in json.loads(answer.stdout)["members"]
        ])  # fmt: skip
    assert rows[0] == rows[1]
    for number, folder in enumerate(("killed", "whole")):
        weights = (tmp_path / folder / "learngene.safetensors").read_bytes()
        header = int.from_bytes(weights[:8], "little")
        rows[number] = weights[8 + header :]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("options", "message"), [
    (("--depths", "0"), "--depths: expected whole numbers of at least 1"),
    (("--depths", "3,x"), "--depths: expected whole numbers of at least 1"),
    (("--widths", "-4"), "--widths: expected whole numbers of at least 1"),
    (("--sizes", "huge"), "--sizes: expected names among small, medium, large"),
    (("--depths", "5000"), "expected depths and widths of at most 4096"),
    (("--depths", "3"), "expected the settings that it was begun with"),
    (("--depths", "2,3", "--stages", "3", "--out", "OUT"), "expected at least 3 units"),
    (("--epochs", "-1", "--out", "OUT"), "greater than or equal to 1"),
    (("--temperature", "0", "--out", "OUT"), "greater than 0"),
    (("--teacher-depth", "0", "--out", "OUT"), "greater than or equal to 1"),
    (("--learngene", "missing.safetensors", "--out", "OUT"), "missing.safetensors"),
])  # fmt: skip
def test_wrong_input_is_one_sentence(finished, tmp_path, options, message):
    out = tmp_path / "out"
    answer = call("init", finished, *(str(out) if option == "OUT" else option for option in options))
    assert answer.exit_code == 2
    lines = [line for line in answer.stderr.splitlines() if line.startswith("nasengine: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not out.exists()


def test_runs_without_a_winner(tmp_path):
    answer = call("init", tmp_path, "--depths", "2")
    assert answer.exit_code == 2
    assert "expected a journal.jsonl in it" in answer.stderr
