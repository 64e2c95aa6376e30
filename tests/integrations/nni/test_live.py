"""Experiments that NNI's server schedules: what agrees, what is refused, and that nothing is left."""

import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from nasengine.errors import ViewError
from nasengine.integrations.nni.genes import flat_genes
from nasengine.integrations.nni.live import Experiment
from nasengine.integrations.nni.recorded_run import RecordedRun
from nasengine.integrations.nni.server import API, ask
from nasengine.store import RunStore
from search_spaces.nasbench201 import NASBENCH201
from tests.browser import CHROMIUM, DRIVER, opened_browser
from tests.integrations.nni.trial_runs import begun, settings_of_trials

pytest.importorskip("nni_node", reason="NNI has no wheel for this machine")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="process groups end together on Linux and macOS only"),
]


def experiment_of(folder: Path, settings) -> Experiment:
    """An experiment whose database stays in ``folder/home``."""
    search = begun(folder / "run", settings)
    (folder / "home").mkdir()
    return Experiment(RecordedRun(folder / "run", search.space, settings), settings.trials, folder / "home", 0)


def nothing_listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) != 0


def kill_trials(server: int, victims: set[str]) -> None:
    """Kill the processes of some trials as soon as they are there."""
    left = set(victims)
    while left and psutil.pid_exists(server):
        with suppress(psutil.Error):
            for child in psutil.Process(server).children():
                name = child.environ().get("NNI_TRIAL_JOB_ID", "")
                if name in left and "python" in child.name():
                    child.kill()
                    left.remove(name)
        time.sleep(0.02)


def rows_of(home: Path, query: str) -> list[tuple]:
    [database] = home.glob("nni-experiments/*/db/nni.sqlite")
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """24 trials, three at a time; three are killed, some are stopped early."""
    folder = tmp_path_factory.mktemp("crowded")
    settings = settings_of_trials(count=24, concurrency=3, epochs=4, stop_early=True)
    experiment = experiment_of(folder, settings)

    def announce(view):
        victims = {f"trial-{number}" for number in (4, 11, 17)}
        threading.Thread(target=kill_trials, args=(view.process.pid, victims), daemon=True).start()

    experiment.run(announce, lambda index, result: None)
    assert nothing_listens(experiment.port)
    return folder, {result.number: result for result in experiment.results()}


def test_all_trials_end_and_the_killed_ones_have_failed(crowded):
    _, results = crowded
    assert sorted(results) == list(range(24))
    failed = {number for number, result in results.items() if result.status == "FAILED"}
    stopped = {number for number, result in results.items() if result.status == "EARLY_STOPPED"}
    assert failed == {4, 11, 17}
    assert 0 < len(stopped) < 18
    for number, result in results.items():
        assert (result.accuracy is None) == (number in failed | stopped)
        assert len(result.epochs) == 4 or number in failed | stopped


def test_parameters_in_the_database_are_those_of_the_trial(crowded):
    folder, results = crowded
    rows = rows_of(folder / "home", "select trialJobId, data, sequenceId from TrialJobEvent where data is not null")
    assert len(rows) == 24
    for name, data, sequence in rows:
        content = json.loads(data)
        result = results[content["parameter_id"]]
        assert (name, sequence) == (f"trial-{result.number}", result.number)
        assert content["parameters"] == {
            "stage": "trial",
            **flat_genes(NASBENCH201, NASBENCH201.parse(result.genotype)),
        }


def test_ends_in_the_database_are_those_of_the_trial(crowded):
    folder, results = crowded
    query = "select trialJobId, event from TrialJobEvent where event not in ('WAITING', 'RUNNING')"
    assert dict(rows_of(folder / "home", query)) == {f"trial-{n}": result.status for n, result in results.items()}


def test_results_in_the_database_are_those_of_the_trial(crowded):
    folder, results = crowded
    rows = rows_of(folder / "home", "select trialJobId, parameterId, type, data from MetricData order by sequence")
    finals = {name: json.loads(json.loads(data)) for name, _, kind, data in rows if kind == "FINAL"}
    curves: dict[str, list] = {f"trial-{number}": [] for number in results}
    for name, parameter, kind, data in rows:
        assert name == f"trial-{parameter}"
        if kind == "PERIODICAL":
            curves[name].append(json.loads(json.loads(data)))
    for number, result in results.items():
        name = f"trial-{number}"
        if result.accuracy is not None:
            assert finals.pop(name) == {"default": result.accuracy, **result.metrics}
            assert curves[name] == result.epochs
        assert curves[name] == result.epochs[: len(curves[name])]
    assert finals == {}


def test_several_trials_ran_at_a_time(crowded):
    """Otherwise the tests of what agrees would say little."""
    folder, _ = crowded
    rows = rows_of(folder / "home", "select timestamp, event from TrialJobEvent where event != 'WAITING'")
    steps = [1 if event == "RUNNING" else -1 for _, event in sorted(rows)]
    assert max(sum(steps[: index + 1]) for index in range(len(steps))) == 3


def test_a_view_of_the_run_shows_the_same(crowded):
    folder, results = crowded
    recording = RecordedRun(folder / "run", NASBENCH201, settings_of_trials(count=24)).read()
    shown = {trial.id: trial for trial in recording.trials}
    assert {name: trial.status for name, trial in shown.items()} == {
        f"trial-{number}": result.status for number, result in results.items()
    }
    best = max(results.values(), key=lambda result: result.accuracy or 0)
    assert shown[f"trial-{best.number}"].final == {"default": best.accuracy, **best.metrics}
    assert all((folder / "run" / result.log).is_file() for result in results.values())


def test_trials_that_take_too_long_or_find_nothing_have_failed(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("arch,a\n|none~0|+|none~0|none~1|+|none~0|none~1|none~2|,0.5\n")
    experiment = experiment_of(tmp_path, settings_of_trials(table, count=1))
    experiment.run(lambda view: None, lambda index, result: None)
    (tmp_path / "slow").mkdir()
    slow = experiment_of(tmp_path / "slow", settings_of_trials(count=1, epochs=10_000, max_seconds=2.0))
    slow.run(lambda view: None, lambda index, result: None)
    [missing], [late] = experiment.results(), slow.results()
    assert (missing.status, late.status) == ("FAILED", "FAILED")
    assert "expected a row for" in missing.reason
    assert "expected a row for" in (tmp_path / "run" / missing.log).read_text()
    assert late.reason == "timed out after 2 s"
    assert "ended after 2 s" in (tmp_path / "slow" / "run" / late.log).read_text()


class StopError(Exception):
    """Ends an experiment from one of its callbacks."""


def test_others_cannot_reach_the_port_or_change_anything(tmp_path):
    experiment = experiment_of(tmp_path, settings_of_trials(count=2, epochs=10_000))

    def look(view):
        known = [one for one in psutil.Process(view.process.pid).net_connections() if one.status == psutil.CONN_LISTEN]
        assert [(one.laddr.ip, one.laddr.port) for one in known] == [("127.0.0.1", view.port)]
        own = {entry.address for entries in psutil.net_if_addrs().values() for entry in entries if entry.family == 2}
        for address in (own | {"127.0.0.2"}) - {"127.0.0.1"}:
            with socket.socket() as trial, pytest.raises(OSError, match="refused|unreachable|assign"):
                trial.connect((address, view.port))
        wrong = {"X-NasEngine-Secret": "0" * 64}
        for method, path in [
            ("GET", "/env/local-env/trial-0"), ("PUT", "/env/local-env/trial-0"),
            ("GET", f"{API}/trial-file/trial-0/x"),
            ("POST", f"{API}/trial-jobs"), ("DELETE", f"{API}/experiment"), ("DELETE", f"{API}/trial-jobs/trial-0"),
            ("PUT", f"{API}/experiment?update_type=TRIAL_CONCURRENCY"), ("GET", "/tuner?secret=" + "0" * 64),
        ]:  # fmt: skip
            assert ask(view.port, method, path, wrong)[0] == 403, path
        handshake = (
            f"GET /tuner?secret={'0' * 64} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", view.port), timeout=10) as connection:
            connection.sendall(handshake.encode())
            assert connection.recv(100) == b""
        assert ask(view.port, "GET", "/oview", {})[0] == 200
        raise StopError

    with pytest.raises(StopError):
        experiment.run(look, lambda index, result: None)
    assert nothing_listens(experiment.port)


@pytest.mark.skipif(None in (CHROMIUM, DRIVER), reason="chromium and chromedriver are not installed")
def test_a_browser_sees_a_running_experiment(tmp_path, table):
    experiment, seen = experiment_of(tmp_path, settings_of_trials(table, count=9)), []

    def look(view):
        address = view.url.removesuffix("/oview")
        with opened_browser(tmp_path) as browser:
            browser.open(address + "/oview")
            browser.wait_for(lambda text: "Best metric" in text and "RUNNING" in text and "trial-4" in text)
            assert browser.errors() == []
            browser.open(address + "/detail")
            text = browser.wait_for(lambda text: text.count("(FINAL)") >= 5)
            browser.run("document.querySelector('.ms-DetailsRow [data-icon-name=ChevronRight]').click()")
            browser.wait_for(lambda text: 'cell 0-1:"' in text)
            assert browser.errors() == []
            assert browser.hosts() == {address.removeprefix("http://")}
            browser.open("about:blank")
            seen.append(text)

    def ended(index, result):
        if index == 5:
            look(views[0])

    views: list = []
    experiment.run(views.append, ended)
    assert "SUCCEEDED" in seen[0]
    assert len(experiment.results()) == 9


def test_the_tuner_says_why_it_ended(tmp_path, table):
    """Here, since the journal says something else than it can have said."""
    experiment = experiment_of(tmp_path, settings_of_trials(table, count=2))
    store = RunStore.open(tmp_path / "run")
    store.record("proposal", number=5, genotype="x")
    store.close()
    message = "StoreError: run folder .*: expected proposal 0, got 5; go on with: nasengine nni --resume"
    with pytest.raises(ViewError, match=message):
        experiment.run(lambda view: None, lambda index, result: None)
    assert nothing_listens(experiment.port)
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False).stdout.split()
    assert left == []
