"""``nasengine target``: tables for people, JSON for programs, one sentence for mistakes."""

import json

from typer.testing import CliRunner

from export.target_commands import app
from nasengine.targets import Target, built_in_targets

RUNNER = CliRunner()


def test_json_lists_all_targets_as_they_are():
    result = RUNNER.invoke(app, ["list", "--json"])
    listed = [Target.model_validate(entry) for entry in json.loads(result.stdout)["targets"]]
    assert listed == list(built_in_targets().values())
    assert result.exit_code == 0


def test_table_names_all_targets(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    text = RUNNER.invoke(app, ["list"]).stdout
    for target in built_in_targets().values():
        assert target.title in text
    assert "measured here, 1 thread" in text
    assert "predicted by raspi4" in text
    assert "65,536 model bytes, 65,536 peak bytes" in text


def test_one_target_is_shown_with_its_sources(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    text = RUNNER.invoke(app, ["show", "edgetpu"]).stdout
    assert "GlobalAveragePool" in text
    assert "arXiv 2103.10584" in text
    shown = Target.model_validate(json.loads(RUNNER.invoke(app, ["show", "edgetpu", "--json"]).stdout))
    assert shown == built_in_targets()["edgetpu"]


def test_own_files_are_shown_and_mistakes_are_one_sentence(tmp_path):
    (tmp_path / "own.toml").write_text("name = 'own'\ntitle = 'My [/bold] board'")
    assert "My [/bold] board" in RUNNER.invoke(app, ["show", str(tmp_path / "own.toml")]).stdout
    result = RUNNER.invoke(app, ["show", "raspi5", "--json"])
    assert result.exit_code == 2
    assert "did you mean 'raspi4'?" in json.loads(result.stdout)["error"]
