"""An experiment of NNI 3.0 on disk: the SQLite file that its server reads, and the list that names the experiment.

Layout of NNI's home, tables and the shape of their entries are those of NNI 3.0, read in its server
(``core/sqlDatabase.js``, ``core/nniDataStore.js``) and in the files that it writes. Everything lies in a folder of
ours that ends with the page: the run's journal stays the only record, NNI's list of experiments in the user's home is
not touched, a run folder may be read-only or on a network drive (where SQLite is not safe), and a database that came
with somebody else's run is never opened.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nasengine.errors import StoreError
from nasengine.integrations.nni.recorded_run import Recording
from nasengine.integrations.nni.trials import Trial

MAX_ID = 32  # NNI's own limit
PLATFORM = "local"
ENDS = ("SUCCEEDED", "FAILED", "EARLY_STOPPED")
TABLES = """
create table TrialJobEvent (timestamp integer, trialJobId text, event text, data text, logPath text,
    sequenceId integer, message text, environmentId text);
create index TrialJobEvent_trialJobId on TrialJobEvent(trialJobId);
create index TrialJobEvent_event on TrialJobEvent(event);
create table MetricData (timestamp integer, trialJobId text, parameterId text, type text, sequence integer, data text);
create index MetricData_trialJobId on MetricData(trialJobId);
create index MetricData_type on MetricData(type);
create table ExperimentProfile (params text, id text, execDuration integer, startTime integer, endTime integer,
    logDir text, nextSequenceId integer, revision integer);
create index ExperimentProfile_id on ExperimentProfile(id);
"""
EVENT, METRIC, PROFILE = (
    "insert into TrialJobEvent values (?,?,?,?,?,?,?,?)",
    "insert into MetricData values (?,?,?,?,?,?)",
    "insert into ExperimentProfile values (?,?,?,?,?,?,?,?)",
)


class ExperimentDatabase:
    """One experiment in a home of its own; trials that have changed are written again, the others are left alone.

    Args:
        home: an empty folder, which takes the place of the user's home.
        name: of the run.

    Raises:
        StoreError: the folder cannot be written.
    """

    def __init__(self, home: Path, name: str) -> None:
        self.home = home
        self.config: dict[str, Any] | None = None  # of an experiment that runs; otherwise that of the recording
        self.id = re.sub(r"[^A-Za-z0-9_-]", "-", name)[:MAX_ID].strip("-") or "run"
        self.experiments = home / "nni-experiments"  # where NNI's server looks below the home
        self._known: dict[str, Trial] = {}
        self._numbers: dict[str, int] = {}
        folder = self.experiments / self.id / "db"
        try:
            folder.mkdir(parents=True)
            self._connection = sqlite3.connect(folder / "nni.sqlite")
            self._connection.execute("pragma journal_mode = wal")  # the server reads while we write
            self._connection.executescript(TABLES)
        except (OSError, sqlite3.Error) as fault:
            raise StoreError(f"experiment database in {folder}: could not be made ({fault})") from fault

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def write(self, recording: Recording) -> None:
        """Bring the file up to date, all at once.

        Raises:
            StoreError: the file cannot be written, such as on a full disk.
        """
        trials = {trial.id: trial for trial in recording.trials}
        changed = [trial for name, trial in trials.items() if self._known.get(name) != trial]
        gone = set(self._known) - set(trials)
        for name in trials:
            self._numbers.setdefault(name, len(self._numbers))
        try:
            with self._connection:
                for name in [*gone, *(trial.id for trial in changed)]:
                    self._connection.execute("delete from TrialJobEvent where trialJobId = ?", (name,))
                    self._connection.execute("delete from MetricData where trialJobId = ?", (name,))
                for trial in changed:
                    number = self._numbers[trial.id]
                    self._connection.executemany(EVENT, _events(trial, number))
                    self._connection.executemany(METRIC, _metrics(trial, number))
                self._connection.execute("delete from ExperimentProfile")
                self._connection.execute(PROFILE, self._profile(recording))
        except sqlite3.Error as fault:
            raise StoreError(f"experiment database in {self.home}: could not be written ({fault})") from fault
        self._known = trials

    def register(self, recording: Recording, port: int, server: int) -> None:
        """Name the experiment in the list of this home, as NNI's launcher does.

        Args:
            recording: the run.
            port: of the page.
            server: number of the server's process; NNI takes an experiment without one for stopped.
        """
        entry = {
            "id": self.id, "port": port, "pid": server, "startTime": _milliseconds(recording.began), "endTime": "N/A",
            "status": "VIEWED", "platform": PLATFORM, "experimentName": recording.name, "tag": [], "webuiUrl": [],
            "logDir": str(self.experiments), "prefixUrl": None,
        }  # fmt: skip
        try:
            (self.experiments / ".experiment").write_text(json.dumps({self.id: entry}))
        except OSError as fault:
            raise StoreError(f"list of experiments in {self.home}: could not be written ({fault})") from fault

    def _profile(self, recording: Recording) -> tuple[Any, ...]:
        latest = max([recording.began, *(trial.ended or trial.began for trial in recording.trials)])
        ended = recording.ended
        seconds = int(max(0.0, (latest if ended is None else ended) - recording.began))
        return (
            json.dumps(self.config or _config(recording)), self.id, seconds, _milliseconds(recording.began),
            None if ended is None else _milliseconds(ended), str(self.experiments / self.id), len(self._numbers), 1,
        )  # fmt: skip


def _config(recording: Recording) -> dict[str, Any]:
    """What NNI calls the configuration of an experiment; ``arguments`` are the settings of the run."""
    settings = recording.settings
    method = settings["strategy"] if settings["selection"] in ("sampled-paths", "trials") else settings["selection"]
    tuner = (settings["trials"] or {}).get("tuner")
    return {
        "experimentName": recording.name,
        "searchSpace": recording.choices,
        "trialCommand": "nasengine search",
        "trialCodeDirectory": ".",
        "trialConcurrency": 1,
        "maxTrialNumber": len(recording.trials),
        "useAnnotation": False,
        "debug": False,
        "logLevel": "info",
        "tuner": {"name": tuner or f"nasengine {method}", "classArgs": settings},
        "trainingService": {"platform": PLATFORM, "trialCommand": "nasengine search", "trialCodeDirectory": "."},
    }


def _events(trial: Trial, number: int) -> Iterator[tuple[Any, ...]]:
    """The genotype is the message: long texts among the metrics would cover the page's plot of parameters."""
    parameters = {
        "parameter_id": number, "parameter_source": "algorithm", "parameters": trial.parameters, "parameter_index": 0
    }  # fmt: skip
    began = _milliseconds(trial.began)
    yield began, trial.id, "WAITING", json.dumps(parameters), None, number, None, None
    if trial.status != "WAITING":
        yield began, trial.id, "RUNNING", None, None, number, None, None
    if trial.status in ENDS:
        ended = began if trial.ended is None else _milliseconds(trial.ended)
        said = trial.message or trial.genotype or None
        yield ended, trial.id, trial.status, None, None, number, said, None


def _metrics(trial: Trial, number: int) -> Iterator[tuple[Any, ...]]:
    """NNI has final results of trials that were not stopped early; the page draws others at zero."""
    began, ended = trial.began, trial.began if trial.ended is None else trial.ended
    is_stopped = trial.status == "EARLY_STOPPED" and trial.final is not None
    values = [*trial.epochs, trial.final] if is_stopped else trial.epochs
    for index, value in enumerate(values):
        reported = began + (ended - began) * (index + 1) / len(values)
        yield _milliseconds(reported), trial.id, str(number), "PERIODICAL", index, _encoded(value)
    if trial.final is not None and not is_stopped:
        yield _milliseconds(ended), trial.id, str(number), "FINAL", 0, _encoded(trial.final)


def _encoded(value: object) -> str:
    """Trials of NNI report JSON, and its server encodes that text once more."""
    return json.dumps(json.dumps(value))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
