"""The SQLite file, read as NNI's server reads it (the server itself reads it in test_view.py)."""

import json
import sqlite3

import pytest

from nasengine.errors import StoreError
from nasengine.integrations.nni import ExperimentDatabase
from tests.integrations.nni.runs import PATHS


@pytest.fixture
def database(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    made = ExperimentDatabase(home, "my run/7")
    yield made
    made.close()


def rows(database, query):
    connection = sqlite3.connect(database.experiments / database.id / "db" / "nni.sqlite")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def numbers(database):
    return dict(rows(database, "select trialJobId, sequenceId from TrialJobEvent where event = 'WAITING'"))


def test_names_become_ids_that_nni_takes(database):
    from nni.experiment.management import is_valid_experiment_id

    assert database.id == "my-run-7"
    assert is_valid_experiment_id(database.id)


def test_results_are_json_in_json(run, database):
    run.do_everything()
    database.write(run.recorded().read())
    [(text,)] = rows(database, "select data from MetricData where trialJobId = 'winner' and type = 'FINAL'")
    assert json.loads(json.loads(text))["default"] == 0.9
    curve = rows(database, "select sequence, data from MetricData where trialJobId = 'winner' and type = 'PERIODICAL'")
    assert [(number, json.loads(json.loads(text))["default"]) for number, text in curve] == [
        (0, 0.5), (1, 0.625), (2, 0.75),
    ]  # fmt: skip


def test_trials_that_were_stopped_early_have_their_last_result_and_no_final_one(run, database):
    run.do_everything()
    database.write(run.recorded().read())
    found = rows(database, "select type, data from MetricData where trialJobId = 'finalist-0'")
    assert [kind for kind, _ in found] == ["PERIODICAL", "PERIODICAL"]
    assert json.loads(json.loads(found[-1][1]))["default"] == 0.31
    events = rows(database, "select event, message from TrialJobEvent where trialJobId = 'finalist-0'")
    assert events == [("WAITING", None), ("RUNNING", None), ("EARLY_STOPPED", PATHS[0])]


def test_a_run_that_grows_keeps_its_numbers_and_repeats_nothing(run, database):
    recorded = run.recorded()
    run.sample_paths()
    database.write(recorded.read())
    before = numbers(database)
    run.race()
    database.write(recorded.read())
    run.finish()
    database.write(recorded.read())
    after = numbers(database)
    assert before.items() <= after.items()
    assert sorted(after.values()) == list(range(len(after)))
    repeated = "select count(*) from TrialJobEvent group by trialJobId, event having count(*) > 1"
    assert rows(database, repeated) == []
    assert rows(database, "select count(*) from ExperimentProfile") == [(1,)]


def test_the_end_of_the_experiment_is_the_end_of_the_run(run, database):
    recorded = run.recorded()
    run.sample_paths()
    database.write(recorded.read())
    assert rows(database, "select endTime from ExperimentProfile") == [(None,)]
    run.race()
    run.finish()
    database.write(recorded.read())
    [(began, ended, seconds)] = rows(database, "select startTime, endTime, execDuration from ExperimentProfile")
    assert began <= ended
    assert seconds == (ended - began) // 1000


def test_nni_reads_the_configuration(run, database):
    from nni.experiment.config import ExperimentConfig
    from nni.tools.nnictl.config_utils import Config

    run.do_everything()
    database.write(run.recorded().read())
    read = Config(database.id, str(database.experiments)).get_config()
    assert read["searchSpace"]["cell 0-1"]["_value"] == [
        "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3",
    ]  # fmt: skip
    assert ExperimentConfig(**read).experiment_name == "run"


def test_a_home_that_is_in_use_is_refused(database):
    with pytest.raises(StoreError, match="could not be made"):
        ExperimentDatabase(database.home, "my run/7")
