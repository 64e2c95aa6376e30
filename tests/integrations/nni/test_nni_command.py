"""What ``nasengine nni`` refuses, in one sentence and before a folder is made."""

import json
import socket

import pytest
from typer.testing import CliRunner

from cli import app
from nasengine.commands.nni_trials import with_trials
from nasengine.errors import StoreError
from nasengine.integrations.nni.opening import opened_proposals
from nasengine.pipeline.trial_results import MORE_TRIALS, best_trial
from nasengine.store import Journal
from search_spaces.nasbench201 import NASBENCH201
from tests.integrations.nni.trial_runs import begun, settings_of_trials, write_table

pytest.importorskip("nni_node", reason="NNI has no wheel for this machine")


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["nni", *arguments])
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--space", "nope"), "search space 'nope' is unknown"),
        (("--space", "hiaml"), "expected one that 'nasengine search' takes"),
        (("--strategy", "nope"), "strategy 'nope' is unknown"),
        (("--tuner", "SMAC"), "trials.tuner: input should be 'TPE', 'Evolution' or 'Random', got 'SMAC'"),
        (("--tuner", "TPE", "--strategy", "random"), "--tuner: expected no --strategy beside it"),
        (("--trials", "0"), "--trials: expected a number from 1 to 10000, got 0"),
        (("--concurrency", "65"), "--concurrency: expected a number from 1 to 64, got 65"),
        (("--epochs", "0"), "--epochs: expected a number from 1 to 10000, got 0"),
        (("--budget", "huge"), "budget: input should be 'quick', 'standard' or 'full', got 'huge'"),
        (("--table", "nowhere.csv"), "expected a CSV file, got No such file"),
        (("--column", "a"), "--column: expected a --table beside it"),
        (("--data", "nowhere"), "nowhere"),
        (("--target", "nope"), "nope"),
        (("--device", "tpu"), "--device: expected auto, cpu or cuda, got 'tpu'"),
        (("--seed", "-1"), "seed: input should be greater than or equal to 0, got -1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_settings_are_named(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    space = () if "--space" in arguments else ("--space", "nasbench201")
    assert message in refused(*space, *arguments, "--port", "0", "--out", "run")
    assert list(tmp_path.iterdir()) == []


def test_tables_of_other_spaces_are_refused(tmp_path):
    table = write_table(tmp_path / "table.csv.gz")
    message = refused("--space", "darts", "--table", str(table), "--port", "0", "--out", str(tmp_path / "run"))
    assert "expected genotypes of darts, got '|" in message
    assert not (tmp_path / "run").exists()


def test_taken_ports_are_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        message = refused("--space", "nasbench201", "--port", port, "--out", str(tmp_path / "run"))
    assert f"--port {port}: expected a free port on 127.0.0.1" in message
    assert not (tmp_path / "run").exists()


def test_folders_that_are_no_run_of_trials_are_not_resumed(tmp_path):
    assert "expected a journal.jsonl in it" in refused("--resume", str(tmp_path), "--port", "0")
    line = {"event": "settings", "time": 1.0, "version": 1, "settings": {"space": "nasbench201", "data": "digits"}}
    (tmp_path / "journal.jsonl").write_text(json.dumps(line) + "\n")
    assert "expected a run of 'nasengine nni'" in refused("--resume", str(tmp_path), "--port", "0")


def test_resumed_runs_keep_their_settings_and_their_table(tmp_path):
    table = write_table(tmp_path / "table.csv.gz")
    begun(tmp_path / "run", settings_of_trials(table))
    assert "expected no other settings" in refused("--resume", str(tmp_path / "run"), "--concurrency", "9")
    write_table(table, num_missing=1)
    assert "expected the one that the run began with" in refused("--resume", str(tmp_path / "run"), "--port", "0")


def test_a_resumed_run_may_have_more_trials_and_not_fewer(tmp_path):
    run = tmp_path / "run"
    settings = settings_of_trials(count=12)
    begun(run, settings)
    for number in (30, 30, None):
        found = with_trials(settings, run, number)
    assert found.trials == settings.trials.model_copy(update={"count": 30})
    assert [event["count"] for event in Journal(run / "journal.jsonl").read() if event["event"] == MORE_TRIALS] == [30]
    assert "--trials: expected at least the 30 that the run has, got 29" in refused(
        "--resume", str(run), "--trials", "29", "--port", "0"
    )
    assert "expected a number from 1 to 10000, got 20000" in refused(
        "--resume", str(run), "--trials", "20000", "--port", "0"
    )
    proposals = opened_proposals(run)
    assert proposals.count == 30
    with pytest.raises(StoreError, match="expected 30 trials that have ended, got 0"):
        best_trial(proposals.store, NASBENCH201, lambda found: True)
    proposals.store.close()


def test_other_versions_of_nni_are_refused(tmp_path, monkeypatch):
    """Entry points and NNI are looked up in sys.path; here NNI is another."""
    (tmp_path / "nni.dist-info").mkdir()
    (tmp_path / "nni.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: nni\nVersion: 2.10\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    message = refused("--space", "nasbench201", "--port", "0", "--out", str(tmp_path / "run"))
    assert "package nni: expected version 3.0" in message


@pytest.mark.parametrize("options", [("--training", "none"), ("--selection", "trials")], ids=["training", "selection"])
def test_searches_have_no_trials(tmp_path, options):
    result = CliRunner().invoke(app, ["search", "--space", "nasbench201", *options, "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "expected them of 'nasengine nni' alone" in result.stderr
