"""``nasengine nni`` as users run it: to its end, killed and resumed, and ended by signals."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nasengine.evaluation.table import read_table
from nasengine.protocols import Evaluation
from nasengine.randomness import seed_of
from nasengine.store import Journal
from nasengine.store.run_store import in_force
from nasengine.strategies import RegularizedEvolution
from search_spaces.nasbench201 import NASBENCH201

pytest.importorskip("nni_node", reason="NNI has no wheel for this machine")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="process groups end together on Linux and macOS only"),
]
ROOT = Path(__file__).parents[3]
SECONDS = 240.0


def text_of(process: psutil.Process) -> str:
    """Its command line; nothing of one that has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


class Command:
    """A running ``nasengine nni`` with a home and a folder for temporary files of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.home, self.temporary, self.run = folder / "home", folder / "temporary", folder / "run"
        for made in (self.home, self.temporary):
            made.mkdir(exist_ok=True)
        environment = {**os.environ, "HOME": str(self.home), "TMPDIR": str(self.temporary)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", "nni", *arguments, "--port", "0", "--json"], cwd=ROOT, text=True,
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        )  # fmt: skip
        lines = [self.process.stderr.readline()]
        while lines[-1] and not lines[-1].startswith("trials: http://"):
            lines.append(self.process.stderr.readline())
        assert lines[-1], lines
        self.port = int(lines[-1].split(":")[-1].split("/")[0])

    def events(self, kind: str) -> list[dict]:
        return [event for event in Journal(self.run / "journal.jsonl").read() if event["event"] == kind]

    def wait_for_trials(self, count: int) -> None:
        last = time.monotonic() + SECONDS
        while len(self.events("trial")) < count:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < last
            time.sleep(0.1)

    def wait_for_children(self) -> list[psutil.Process]:
        """Server, tuner and a trial."""
        last = time.monotonic() + SECONDS
        while True:
            found = psutil.Process(self.process.pid).children(recursive=True)
            texts = [text_of(child) for child in found]
            if all(any(part in text for text in texts) for part in ("main.js", "-m nni ", "nni.trial")):
                return found
            assert time.monotonic() < last
            time.sleep(0.02)

    def end(self) -> tuple[int, str, str]:
        output, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, output, errors

    def nothing_is_left(self, children: list[psutil.Process]) -> bool:
        """No process of it, no port, and nothing in its home."""
        _, alive = psutil.wait_procs(children, timeout=10)
        with socket.socket() as trial:
            is_closed = trial.connect_ex(("127.0.0.1", self.port)) != 0
        return not alive and is_closed and list(self.home.glob("nni-experiments")) == []


def started(folder: Path, table: Path, count: int) -> Command:
    return Command(
        folder, "--space", "nasbench201", "--table", str(table), "--trials", str(count), "--budget", "quick",
        "--strategy", "regularized_evolution", "--no-train", "--out", str(folder / "run"),
    )  # fmt: skip


def child_with(children: list[psutil.Process], part: str) -> psutil.Process:
    return next(child for child in children if part in text_of(child) and not text_of(child).startswith("/bin/sh"))


ENDS = {
    "the server is killed": ("main.js", signal.SIGKILL, 2, "got its end"),
    "the tuner is killed": ("-m nni ", signal.SIGKILL, 2, "NNI's tuner: expected it to go on, got its end"),
    "the command is killed": (None, signal.SIGKILL, -9, ""),
    "the command is ended": (None, signal.SIGTERM, 130, "interrupted; go on with: nasengine nni --resume"),
    "ctrl-c": (None, signal.SIGINT, 130, "interrupted; go on with: nasengine nni --resume"),
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_left_however_it_ends(tmp_path, table, end):
    part, number, code, message = ENDS[end]
    command = started(tmp_path, table, 50)
    children = command.wait_for_children()
    target = psutil.Process(command.process.pid) if part is None else child_with(children, part)
    target.send_signal(number)
    returned, _, errors = command.end()
    assert returned == code, errors
    assert message in errors
    assert "Traceback" not in errors
    assert command.nothing_is_left(children)
    assert part is None or "go on with: nasengine nni --resume" in errors
    if number != signal.SIGKILL or part is not None:
        assert list(command.temporary.glob("nasengine-*")) == []


def test_a_killed_server_loses_no_trial_and_none_runs_twice(tmp_path, table):
    """Twice killed and resumed, with more trials at last: they are those of a search that nothing disturbs."""
    command = started(tmp_path, table, 5)
    known: list[dict] = []
    for count in (2, 4):
        command.wait_for_trials(count)
        children = psutil.Process(command.process.pid).children(recursive=True)
        child_with(children, "main.js").kill()
        command.end()
        assert command.nothing_is_left(children)
        assert command.events("trial")[: len(known)] == known
        known = command.events("trial")
        files = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "trials").glob("*.json")}
        more = ("--trials", "7") if count == 4 else ()
        command = Command(tmp_path, "--resume", str(tmp_path / "run"), "--no-train", *more)
    code, output, errors = command.end()
    assert code == 0, errors
    trials = command.events("trial")
    assert trials[: len(known)] == known
    assert [trial["number"] for trial in trials] == list(range(7))
    assert [proposal["number"] for proposal in command.events("proposal")] == list(range(7))
    assert all(path.stat().st_mtime_ns == written for path, written in files.items())
    assert [(trial["genotype"], trial["accuracy"]) for trial in trials] == undisturbed(table, 7)
    assert json.loads(output)["best"]["accuracy"] == max(trial["accuracy"] for trial in trials)


def undisturbed(table: Path, count: int) -> list[tuple[str, float]]:
    """What the strategy does in this process, without NNI."""
    strategy, rows = RegularizedEvolution(NASBENCH201, random.Random(seed_of(0, "trials"))), []
    accuracies = read_table(table, NASBENCH201).accuracies
    for _ in range(count):
        (architecture,) = strategy.ask(1)
        genotype = NASBENCH201.format(architecture)
        strategy.tell([Evaluation(architecture, {"accuracy": accuracies[genotype]})])
        rows.append((genotype, accuracies[genotype]))
    return rows


def nasengine(*arguments: str) -> dict:
    ended = subprocess.run(
        [sys.executable, "-m", "cli", *arguments, "--json"], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_run_of_trials_ends_as_a_search_does(tmp_path):
    """The best trial and a random architecture are trained, tested and exported; other commands take the folder."""
    run = tmp_path / "runs" / "run"
    command = Command(
        tmp_path, "--space", "nasbench201", "--tuner", "TPE", "--trials", "3", "--budget", "quick",
        "--concurrency", "2", "--target", "raspi4", "--out", str(run),
    )  # fmt: skip
    children = psutil.Process(command.process.pid).children(recursive=True)
    code, output, errors = command.end()
    assert code == 0, errors
    assert command.nothing_is_left(children)
    summary = json.loads(output)
    trials = [event for event in Journal(run / "journal.jsonl").read() if event["event"] == "trial"]
    best = max(trials, key=lambda trial: trial["accuracy"])
    assert summary["winner"]["genotype"] == best["genotype"]
    assert summary["random_baseline"]["genotype"] != best["genotype"]
    assert summary["trials"] == {"SUCCEEDED": 3}
    assert best["metrics"]["latency_ms"] == pytest.approx(summary["target"]["winner"]["latency_ms"], abs=1e-4)
    assert best["metrics"]["macs"] == summary["winner"]["macs"]
    assert Path(summary["onnx"]["path"]).is_file()
    assert nasengine("runs", str(tmp_path / "runs"))["runs"][0]["status"] == "finished"
    assert nasengine("export", str(run), "--out", str(tmp_path / "again.onnx"))["onnx"]["top1_agreement"] == 1
    assert nasengine("init", str(run), "--depths", "1", "--epochs", "1")["members"]
    assert nasengine("report", str(run))["faults"] == []
    again = nasengine("nni", "--resume", str(run), "--port", "0")
    assert again["winner"] == summary["winner"]
    more = nasengine("nni", "--resume", str(run), "--trials", "4", "--port", "0")
    assert more["trials"] == {"SUCCEEDED": 4}
    events = in_force(Journal(run / "journal.jsonl").read())
    assert [event["step"] for event in events if event.get("task") == "winner"] == list(range(10))
    accuracies = {event["genotype"]: event["accuracy"] for event in events if event["event"] == "trial"}
    assert accuracies[more["winner"]["genotype"]] == max(accuracies.values())
    assert nasengine("report", str(run))["faults"] == []
