"""``nasengine export`` as users type it, on a run that they have searched."""

import json
from pathlib import Path

import onnx
import pytest
import typer
from typer.testing import CliRunner

from cli import app as nasengine
from export.commands import export

app = typer.Typer()
app.command()(export)
pytestmark = pytest.mark.slow

BUNDLE = {"model.onnx", "model.int8.onnx", "card.md", "card.json", "labels.txt", "preprocessing.json", "infer.py"}
TARGET = 'name = "mine"\ntitle = "My board"\nruntime = "litert-micro"\ndata_types = ["int8"]\n[limits]\n'


def call(*arguments: object):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    arguments = ("search", "--space", "nasbench201", "--budget", "quick", "--out", str(folder))
    answer = CliRunner().invoke(nasengine, arguments)
    assert answer.exit_code == 0, answer.output
    return folder


@pytest.fixture(scope="module")
def answer(finished) -> dict:
    """The default export, with int8."""
    found = call(finished, "--int8", "--licence", "CC BY 4.0", "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_a_run_becomes_a_folder_that_is_ready(finished, answer):
    folder = finished / "export"
    assert answer["folder"] == str(folder)
    assert {path.name for path in folder.iterdir()} == BUNDLE
    summary = json.loads((finished / "summary.json").read_text())["winner"]
    floats, ints = answer["files"]
    assert floats["test_accuracy"] == pytest.approx(summary["test_accuracy"])
    assert floats["max_deviation"] < 1e-4
    assert ints["size_bytes"] < floats["size_bytes"]
    assert ints["test_accuracy"] > summary["test_accuracy"] - 0.01
    assert (answer["made"]["run"], answer["licence"], answer["made"]["seed"]) == ("run", "CC BY 4.0", 0)
    assert str(finished.parent) not in "".join(path.read_text(errors="ignore") for path in folder.iterdir())
    (note,) = answer["notes"]
    assert ("faster" in note) <= (ints["latency"]["p50_ms"] < floats["latency"]["p50_ms"])


def test_a_target_decides_what_takes_the_place_of_the_first_export(finished, answer, tmp_path):
    (tmp_path / "mine.toml").write_text(f"{TARGET}model_bytes = 100_000\npeak_bytes = 65_536\n")
    found = call(finished, "--target", tmp_path / "mine.toml")
    assert found.exit_code == 0, found.output
    assert "median ms" in found.stdout
    folder = finished / "export"
    assert {path.name for path in folder.iterdir()} == BUNDLE
    for name in ("model.onnx", "model.int8.onnx"):
        (entry,) = onnx.load(folder / name).graph.input
        assert [size.dim_value for size in entry.type.tensor_type.shape.dim] == [1, 1, 8, 8]
    card = json.loads((folder / "card.json").read_text())
    size, peak = (folder / "model.int8.onnx").stat().st_size, card["peak_bytes"]["int8"]
    assert card["target"]["limits"] == [
        {"name": "model_bytes", "limit": 100_000, "value": size}, {"name": "peak_bytes", "limit": 65_536, "value": peak}
    ]  # fmt: skip
    assert card["files"][1]["test_accuracy"] > answer["files"][0]["test_accuracy"] - 0.01


@pytest.mark.parametrize(("options", "message"), [
    (("--target", "raspi5"), "target 'raspi5' is unknown"),
    (("--target", "missing.toml"), "target missing.toml: expected a TOML file"),
    (("--target", "TINY"), "target mine: expected at most 100 peak_bytes, got"),
    (("--target", "TINY", "--fp16"), "target mine: expected data types among int8, got float16"),
    (("--qat", "2"), "--qat: expected an int8 file to be asked for"),
    (("--out", "OTHERS"), "got other files in it (thesis.tex); choose another --out"),
    (("--out", "/dev/null/export"), "could not be written"),
    (("--int8", "--out", "OUT.onnx"), "expected a folder together with"),
])  # fmt: skip
def test_wrong_input_is_one_sentence(finished, tmp_path, options, message):
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "thesis.tex").write_text("years")
    (tmp_path / "tiny.toml").write_text(f"{TARGET}peak_bytes = 100\n")
    places = {"TINY": "tiny.toml", "OTHERS": "others", "OUT.onnx": "out.onnx"}
    before = sorted(tmp_path.rglob("*"))
    options = [str(tmp_path / places[option]) if option in places else option for option in options]
    found = call(finished, *options, *([] if "--out" in options else ["--out", tmp_path / "out"]))
    assert found.exit_code == 2
    lines = [line for line in found.stderr.splitlines() if line.startswith("nasengine: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


def test_runs_without_a_winner(finished, tmp_path):
    assert "expected a journal.jsonl in it" in call(tmp_path).stderr
    run = tmp_path / "run"
    run.mkdir()
    lines = (finished / "journal.jsonl").read_text().splitlines(keepends=True)
    (run / "journal.jsonl").write_text(lines[0])
    found = call(run)
    assert found.exit_code == 2
    assert "expected a finished run, got one without a tested winner" in found.stderr
    assert not (run / "export").exists()
