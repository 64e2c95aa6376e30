"""``nasengine ui`` as users run it: in a process of its own that ends by a signal."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from cli import app

pytest.importorskip("nni_node", reason="NNI has no wheel for this machine")
ROOT = Path(__file__).parents[3]
SECONDS = 60.0


class Command:
    """A running ``nasengine ui``, with a home and a folder for temporary files of its own."""

    def __init__(self, run: Path, folder: Path) -> None:
        self.home, self.temporary = folder / "home", folder / "temporary"
        self.home.mkdir()
        self.temporary.mkdir()
        environment = {**os.environ, "HOME": str(self.home), "TMPDIR": str(self.temporary)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", "ui", str(run), "--port", "0"], cwd=ROOT, text=True, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # tests under nohup ignore it
        )  # fmt: skip
        self.said = self.process.stdout.readline()
        assert "http://" in self.said, self.process.communicate(timeout=SECONDS)
        assert self.process.stdout.readline() == "reachable from this machine alone; Ctrl-C ends it\n"
        self.url = self.said.split(": ")[1].strip().removesuffix("/oview")
        self.port = int(self.url.split(":")[-1])
        self.children = psutil.Process(self.process.pid).children(recursive=True)

    def told(self, path: str):
        with urllib.request.urlopen(f"{self.url}/api/v1/nni{path}", timeout=SECONDS) as answer:
            return json.load(answer)

    def statuses(self) -> dict[str, str]:
        return {job["trialJobId"]: job["status"] for job in self.told("/trial-jobs")}

    def wait_for(self, condition) -> None:
        last = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < last
            time.sleep(0.1)

    def nothing_is_left(self) -> bool:
        """No process of it, and no port."""
        gone, alive = psutil.wait_procs(self.children, timeout=10)
        with socket.socket() as trial:
            return bool(gone) and not alive and trial.connect_ex(("127.0.0.1", self.port)) != 0


@pytest.fixture
def shown(run, tmp_path):
    run.sample_paths()
    command = Command(run.folder, tmp_path)
    yield command
    if command.process.poll() is None:
        command.process.kill()
    command.process.communicate(timeout=SECONDS)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_signals_end_everything(shown, name):
    assert re.fullmatch(r"2 trials: http://127\.0\.0\.1:\d+/oview\n", shown.said)
    assert [child.name() for child in shown.children] == ["node"]
    shown.process.send_signal(getattr(signal, name))
    _, errors = shown.process.communicate(timeout=SECONDS)
    assert (shown.process.returncode, errors) == (0, "stopped\n")
    assert shown.nothing_is_left()
    assert list(shown.temporary.iterdir()) == []
    assert list(shown.home.iterdir()) == []  # no ~/nni-experiments


def test_the_server_does_not_outlive_a_command_that_is_killed(shown):
    shown.process.kill()
    shown.process.communicate(timeout=SECONDS)
    assert shown.nothing_is_left()


def test_a_server_that_dies_ends_the_command(shown):
    shown.children[0].kill()
    _, errors = shown.process.communicate(timeout=SECONDS)
    assert shown.process.returncode == 2
    assert errors.startswith("nasengine: NNI's server: expected it to run until it is stopped")
    assert "Traceback" not in errors
    assert list(shown.temporary.iterdir()) == []


def test_a_run_that_goes_on_is_followed(run, shown):
    before = set(run.folder.rglob("*"))
    assert shown.told("/experiment").get("endTime") is None
    assert shown.told("/check-status")["status"] == "RUNNING"
    run.race()
    shown.wait_for(lambda: shown.statuses().get("finalist-0") == "EARLY_STOPPED")
    run.train_winner()
    run.finish()
    shown.wait_for(lambda: shown.told("/experiment").get("endTime") is not None)
    assert shown.statuses()["winner"] == "SUCCEEDED"
    written = {path.name for path in set(run.folder.rglob("*")) - before}
    assert {name for name in written if not name.endswith(".safetensors")} <= {"summary.json"}


def test_a_journal_that_breaks_while_it_is_followed_ends_the_page(run, shown):
    run.step("selection-leaf0", 9, genotype="x", accuracy=0.5)
    _, errors = shown.process.communicate(timeout=SECONDS)
    assert shown.process.returncode == 2
    assert "expected a genotype of nasbench201" in errors
    assert shown.nothing_is_left()


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["ui", *arguments])
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


def test_folders_that_are_no_run_are_refused(tmp_path):
    assert "expected a journal.jsonl in it, got a folder without one" in refused(str(tmp_path))
    assert "got no folder" in refused(str(tmp_path / "nowhere"))


def test_runs_without_evaluations_are_refused(run):
    assert "expected a run that has evaluated an architecture" in refused(str(run.folder))


def test_other_journals_are_refused(tmp_path):
    line = {"event": "settings", "time": 1.0, "version": 1, "settings": {"run": "x"}}
    (tmp_path / "journal.jsonl").write_text(json.dumps(line) + "\n")
    assert "expected a run of 'nasengine search', got another" in refused(str(tmp_path))


def test_taken_ports_are_named(run):
    run.sample_paths()
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = refused(str(run.folder), "--port", str(port))
    assert f"--port {port}: expected a free port on 127.0.0.1" in message


def test_signals_work_as_before_after_a_refusal(run):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    refused(str(run.folder))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
