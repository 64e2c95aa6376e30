"""``nasengine report``, the page of runs that stop, and the command that a page prints."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from cli import app
from nasengine.assembly import completed
from nasengine.commands.amounts import amount, amounts
from nasengine.commands.init import names, numbers
from nasengine.commands.report import reported, write_report
from nasengine.errors import TrainingError
from nasengine.pipeline import SearchSettings
from nasengine.pipeline.trial_settings import TrialSettings
from nasengine.report.run_command import command_of
from nasengine.report.run_reading import read_run
from nasengine.store import RunStore
from tests.report.page_parser import parsed

SETTINGS = {"space": "nasbench201", "data": "digits", "budget": "quick", "seed": 0}


def call(*arguments: str):
    return CliRunner().invoke(app, ["report", *arguments])


def test_the_page_lies_in_the_run_folder(sampled, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(sampled, run)
    result = call(str(run), "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    page = run / "report.html"
    assert answer == {"page": str(page), "bytes": page.stat().st_size, "status": "finished", "faults": []}
    assert parsed(page.read_text()).all("h1")[0].text == "nasbench201 on digits"


def test_the_page_lies_where_it_is_asked_for(sampled, tmp_path):
    before = sorted(path.name for path in sampled.iterdir())
    result = call(str(sampled), "--out", str(tmp_path / "page.html"))
    assert result.exit_code == 0
    assert "finished" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert sorted(path.name for path in sampled.iterdir()) == before


def test_pages_are_the_same_in_every_process(sampled, tmp_path):
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "cli", "report", str(sampled), "--out", str(tmp_path / f"{seed}.html")]
        root = Path(__file__).parents[2]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=root, capture_output=True)
    assert (tmp_path / "1.html").read_bytes() == (tmp_path / "2.html").read_bytes()


def test_folders_that_are_no_runs_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    family = RunStore.create(tmp_path / "family", {"run": "somewhere", "depths": [1]})
    family.close()
    for name, got in (("missing", "got no folder"), ("other", "got neither"), ("family", "such as a family")):
        result = call(str(tmp_path / name))
        assert result.exit_code == 2
        assert result.stderr.startswith(f"nasengine: run folder {tmp_path / name}: expected a journal.jsonl")
        assert got in result.stderr
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(("out", "got"), [("missing/page.html", "in a folder that is there"), ("", "got a folder")])
def test_places_where_no_page_can_be_are_refused(sampled, tmp_path, out, got):
    result = call(str(sampled), "--out", str(tmp_path / out))
    assert result.exit_code == 2
    assert got in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_damaged_lines_are_passed_over_and_named(sampled, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    lines = (sampled / "journal.jsonl").read_bytes().split(b"\n")
    lines[3:5] = [b"{not json", b'{"event": 5}']
    (run / "journal.jsonl").write_bytes(b"\n".join(lines) + b'{"event": "st')
    (run / "summary.json").write_text("[]")
    faults = write_report(run)["faults"]
    assert faults == [
        "journal.jsonl: 2 of its lines are damaged, the first is line 4",
        "run/summary.json: expected a JSON object, got something else",
    ]
    assert faults[0] in parsed((run / "report.html").read_text()).text


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(TrainingError("the loss is not finite"), "the loss is not finite"), (KeyboardInterrupt(), "interrupted")],
    ids=["failed", "interrupted"],
)
def test_runs_that_stop_have_a_page_that_says_why(tmp_path, fault, reason):
    store = RunStore.create(tmp_path / "run", SETTINGS)
    with pytest.raises(type(fault)), reported(store):
        raise fault
    store.close()
    assert read_run(tmp_path / "run").status == "stopped"
    assert f"stopped before its end: {reason}" in parsed((tmp_path / "run" / "report.html").read_text()).text


def test_what_stopped_a_run_counts_where_no_page_can_be_written(tmp_path):
    store = RunStore.create(tmp_path / "run", SETTINGS)
    (tmp_path / "run" / "report.html").mkdir()
    with pytest.raises(TrainingError, match="the loss"), reported(store):
        raise TrainingError("the loss is not finite")
    store.close()


ELASTIC = {"space": "mobilenet", "training": "shrinking", "selection": "sampled-paths"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data": "/data/my images; rm -rf ~", "seed": 2**40, "training": "drnas", "splits": 0, "restart_leaves": False},
        {"training": "single-path", "selection": "sampled-paths", "strategy": "fuzzy_evolution", "compiled": True},
        {"target": "raspi4", "max_latency_ms": 2.5, "max_bytes": 150_000, "max_macs": 20_000_000, "depths": (1, 2)},
        {"predictor": "gennape", "pool": 40, "ways": 3, "split_by": "random", "sizes": ("small", "large")},
        {"preset": "nasbench201", "learning_rate": 0.05, "max_peak_bytes": 4096, "max_parameters": 10_000},
        {**ELASTIC, "fine_tune": False, "strategy": "regularized_evolution"},
        {**ELASTIC, "strategy": "random", "also_macs": (5_000_000, 200)},
    ],
    ids=["plain", "quoted", "paths", "limits", "predictor", "preset", "scratch", "elastic"],
)
def test_the_command_of_a_page_gives_the_settings_of_its_run(changes):
    settings = SearchSettings.read({**SETTINGS, **changes}, "test")
    line = command_of(settings.model_dump(mode="json"))
    words = [word for word in shlex.split(line.replace("\\\n", " ")) if not word.startswith("OMP_NUM_THREADS=")]
    assert words[:2] == ["nasengine", "search"]
    parameters = typer.main.get_command(app).commands["search"].make_context("search", words[2:]).params
    content = {name: value for name, value in parameters.items() if name in SearchSettings.model_fields}
    content |= {
        name: amount(content[name], "") for name in ("max_bytes", "max_peak_bytes", "max_macs", "max_parameters")
    }
    content |= {"depths": numbers(content["depths"], ""), "sizes": names(content["sizes"])}
    content |= {"also_macs": amounts(content["also_macs"], "")}
    content |= completed(*(content[name] for name in ("space", "training", "selection", "strategy")))
    assert SearchSettings.read(content, "page") == settings


@pytest.mark.parametrize("changes", [
    {"strategy": "fuzzy_evolution", "target": "raspi4"},
    {"tuner": "TPE", "table": "my table.csv", "column": "accuracy", "concurrency": 3, "stop_early": True},
], ids=["strategy", "tuner"])  # fmt: skip
def test_the_command_of_a_run_of_trials_is_that_of_trials(changes):
    trials = {name: value for name, value in changes.items() if name in TrialSettings.model_fields}
    own = {name: value for name, value in changes.items() if name not in trials}
    ways = {"training": "none", "selection": "trials", "trials": {"count": 7, "epochs": 2, **trials}}
    line = command_of(SearchSettings.read({**SETTINGS, **own, **ways}, "test").model_dump(mode="json"))
    words = [word for word in shlex.split(line.replace("\\\n", " ")) if not word.startswith("OMP_NUM_THREADS=")]
    assert words[:2] == ["nasengine", "nni"]
    read = typer.main.get_command(app).commands["nni"].make_context("nni", words[2:]).params
    wanted = {"trials": 7, "epochs": 2, "space": SETTINGS["space"], **changes}
    assert {name: read[name] for name in wanted} == wanted
