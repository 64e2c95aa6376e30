"""NNI's server as the scheduler of a run's trials: started, guarded, followed and ended by us.

The server, its tuner and its trials are one process group, which this process ends whatever happens; when this process
is killed, the group ends itself (``live.js``), and so do trials and tuner when the server is killed (``watch``). NNI's
database lies in a temporary home and is made anew from the journal at every start, so that nothing of NNI has to be
resumed: only the journal of the run counts.

The page is at 127.0.0.1 alone. To look at it from elsewhere, forward the port: ``ssh -L 8080:127.0.0.1:8080 MACHINE``.
"""

import http.client
import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nasengine.errors import DependencyError, ViewError
from nasengine.integrations.nni.experiment_database import PLATFORM, ExperimentDatabase
from nasengine.integrations.nni.recorded_run import RecordedRun
from nasengine.integrations.nni.server import (
    API,
    View,
    ask,
    free_port,
    server_folder,
)
from nasengine.pipeline.trial_results import LOGS, TrialResult, results_in
from nasengine.pipeline.trial_settings import TrialSettings
from nasengine.store.journal import Journal
from nasengine.store.run_store import JOURNAL_NAME

PRELOAD = Path(__file__).with_name("live.js")
LOOK_SECONDS, DONE_SECONDS = 0.3, 5.0
GONE_SECONDS = 10.0
KEPT_CHARACTERS = 300
ERROR_LINE = re.compile(r"[\w.]+(Error|Exception): ")
STAGE = "trial"
"""What trials here have for a parameter, beside genes; a search has several stages."""
TUNER_ENDED = 7
"""Exit code of the server, see ``live.js``."""
DISPATCHER = "nasengine.integrations.nni.dispatcher.TrialDispatcher"
TRIAL = "nasengine.integrations.nni.trial"


def check_installed() -> None:
    """See that experiments can run here.

    Raises:
        DependencyError: NNI 3.0 is not installed, or the system is one where its trials cannot be ended together.
    """
    server_folder()
    if sys.platform == "win32":
        raise DependencyError("nasengine nni: expected Linux or macOS, where process groups end together, got Windows")


class Experiment:
    """The trials of a run, until all have ended.

    Args:
        recorded: the run; nobody else writes to it meanwhile.
        trials: its settings.
        home: an empty folder for what NNI writes.
        port: of the page, on 127.0.0.1; 0 takes a free one.
    """

    def __init__(self, recorded: RecordedRun, trials: TrialSettings, home: Path, port: int) -> None:
        self.recorded, self.trials, self.home = recorded, trials, home
        self.run_folder = recorded.folder.resolve()
        self.port = free_port(port)
        self._journal = Journal(self.run_folder / JOURNAL_NAME)
        self._size, self._known = -1, 0

    def run(self, announce: Callable[[View], None], ended: Callable[[int, TrialResult], None]) -> None:
        """Try all architectures that have not been tried; afterwards no process and no listening port is left.

        Args:
            announce: is told of the page.
            ended: is told of every trial that ends, and how many ended before it.

        Raises:
            ViewError: the server or the tuner ended before the trials did.
        """
        self._known = len(self.results())
        if self._known >= self.trials.count:
            return
        try:
            with self._started() as view:
                announce(view)
                while self._known < self.trials.count:
                    time.sleep(LOOK_SECONDS)
                    self._look(view, ended)
                self._wait_until_done(view)
        except ViewError as fault:
            raise ViewError(f"{fault}; go on with: nasengine nni --resume {self.run_folder}") from fault

    def _look(self, view: View, ended: Callable[[int, TrialResult], None]) -> None:
        """Tell of trials that have ended; while there are others, their server and tuner must be there."""
        for result in self.results()[self._known :] if self._has_grown() else ():
            ended(self._known, result)
            self._known += 1
        if self._known < self.trials.count:
            self._check(view)

    def results(self) -> list[TrialResult]:
        """Trials that have ended, as the journal has them."""
        return results_in(self._journal.read(), str(self._journal.path))

    def _has_grown(self) -> bool:
        size = self._journal.path.stat().st_size
        has_grown, self._size = size != self._size, size
        return has_grown

    @contextmanager
    def _started(self) -> Iterator[View]:
        (self.run_folder / LOGS).mkdir(exist_ok=True)
        database, recording = ExperimentDatabase(self.home, self.run_folder.name), self.recorded.read()
        assert recording is not None  # it is the first look
        stage = {"stage": {"_type": "choice", "_value": [STAGE]}}  # the page warns of parameters that are not stated
        database.config = self._config(recording.name, {**stage, **recording.choices})
        database.write(recording)
        database.close()
        secret, log = secrets.token_hex(32), self.home / "server.log"
        node = server_folder() / "node"
        command = [
            str(node), "--require", str(PRELOAD), "main.js", "--action", "resume", "--mode", PLATFORM, "--log-level",
            "info", "--python-interpreter", sys.executable, "--experiment-id", database.id,
            "--experiments-directory", str(database.experiments), "--port", str(self.port),
        ]  # fmt: skip
        with open(log, "wb") as output:
            process = subprocess.Popen(
                command, cwd=server_folder(), env=environment(self.home, secret), stdin=subprocess.PIPE,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._dispatcher_log = database.experiments / database.id / "log" / "dispatcher.log"
        try:
            view = View(process, self.port, log)
            database.register(recording, self.port, process.pid)
            _begin(view, secret)
            yield view
        finally:
            end_group(process)

    def _config(self, name: str, choices: dict[str, Any]) -> dict[str, Any]:
        """What NNI calls the configuration of an experiment."""
        run = shlex.quote(str(self.run_folder))
        command = f'exec {shlex.quote(sys.executable)} -P -m {TRIAL} {run} > {run}/{LOGS}/"$NNI_TRIAL_JOB_ID".log 2>&1'
        code = {"trialCommand": command, "trialCodeDirectory": str(self.run_folder)}
        tuner = {"className": DISPATCHER, "codeDirectory": str(self.home), "classArgs": {"run": str(self.run_folder)}}
        return {
            "experimentName": name, "searchSpace": choices, **code, "trialConcurrency": self.trials.concurrency,
            "maxTrialNumber": self.trials.count, "useAnnotation": False, "debug": False, "logLevel": "info",
            "tuner": tuner, "trainingService": {"platform": PLATFORM, **code},
        }  # fmt: skip

    def _check(self, view: View) -> None:
        """See that the server and its tuner are there."""
        status = _status(view) if view.process.poll() is None else {}
        if view.process.poll() == TUNER_ENDED or status.get("status") == "ERROR":
            told = " ".join(map(str, status.get("errors", [])))[:200]
            raise ViewError(
                f"NNI's tuner: expected it to go on, got its end: {told} {last_error(self._dispatcher_log)}"
            )
        view.check()

    def _wait_until_done(self, view: View) -> None:
        """NNI learns of the end of the last trial a moment later than the journal."""
        last = time.monotonic() + DONE_SECONDS
        while time.monotonic() < last and _status(view).get("status") not in ("DONE", "ERROR"):
            time.sleep(LOOK_SECONDS)


def environment(home: Path, secret: str) -> dict[str, str]:
    """The user's, for the sake of trials, but for what would turn node, NNI or their connections elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NODE_", "NNI_"))}
    paths = [str(Path(__file__).resolve().parents[3]), *kept.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **kept, "HOME": str(home), "TMPDIR": str(home), "NASENGINE_HOME": os.environ.get("HOME", ""),
        "NASENGINE_SECRET": secret,
        "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in paths if path), "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1", "NO_PROXY": "localhost,127.0.0.1", "no_proxy": "localhost,127.0.0.1",
    }  # fmt: skip


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """End a server and all that it started, at once; also what is left when the server has ended before.

    Returns when none of them is there any more: the tuner holds the run's lock until then.
    """
    last = time.monotonic() + GONE_SECONDS
    with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, of a group of the dead
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while time.monotonic() < last:
            os.killpg(process.pid, 0)
            time.sleep(0.02)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def last_error(log: Path) -> str:
    """The error that NNI's tuner ended with, for people; its log ends with it."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    is_error = bool(lines) and ERROR_LINE.match(lines[-1]) is not None
    return lines[-1][:KEPT_CHARACTERS] if is_error else "it was ended from outside, or has logged nothing"


def _begin(view: View, secret: str) -> None:
    view.wait_until_ready(LOOK_SECONDS / 3)
    status, content = ask(view.port, "POST", f"{API}/experiment", {"X-NasEngine-Secret": secret})
    if status != http.client.OK:
        raise ViewError(f"NNI's server: expected it to start the experiment, got status {status}: {content[:200]!r}")


def _status(view: View) -> dict[str, Any]:
    """What the server says of itself; nothing while it is too busy to say."""
    try:
        status, content = ask(view.port, "GET", f"{API}/check-status", {})
        return dict(json.loads(content)) if status == http.client.OK else {}
    except (OSError, http.client.HTTPException, ValueError, ViewError):
        return {}
