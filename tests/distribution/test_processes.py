"""Workers as real processes and on a real Ray cluster, some of them shot. Slow: each begins by importing torch."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SEARCH = [sys.executable, "-m", "cli", "search"]
NEW = [
    "--space",
    "nasbench201",
    "--budget",
    "quick",
    "--json",
    "--sizes",
    "small",
    "--predictor",
    "gennape",
    "--pool",
    "10",
]
"""Two leaves and what the predictor proposes: a race in which all are trained from its first round on."""
SKIPPED = ("run", "seconds", "path", "page", "picture", "sha256", "bytes", "weights")


def start(*options):
    return subprocess.Popen(
        [*SEARCH, *map(str, options)], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip


def outcome(process):
    output, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors
    return plain(json.loads(output))


def plain(value):
    """All but times and places."""
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if name not in SKIPPED}
        return {name: plain(one) for name, one in kept.items() if name != "family" or isinstance(one, dict)}
    return [plain(one) for one in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    return outcome(start(*NEW, "--out", tmp_path_factory.mktemp("serial") / "run"))


def below(pid):
    """All processes that come from one, by what /proc says."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def called(name, pid):
    return [child for child in below(pid) if name in command_of(child)]


def wait_for(condition, seconds=200):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def steps(folder, prefix):
    journal = folder / "journal.jsonl"
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [line for line in lines if '"event": "step"' in line and f'"task": "{prefix}' in line]


def test_processes_give_the_same_and_one_may_be_shot(tmp_path, serial):
    process = start(*NEW, "--out", tmp_path / "run", "--workers", "2")
    workers = wait_for(
        lambda: steps(tmp_path / "run", "leaf") and [p for p in below(process.pid) if "worker_process" in command_of(p)]
    )
    os.kill(workers[0], signal.SIGKILL)
    # A finalist has had an epoch, others of the same round have not.
    wait_for(lambda: [line for line in steps(tmp_path / "run", "finalist") if '"step": 1,' in line])
    others = wait_for(lambda: called("worker_process", process.pid))
    os.kill(others[0], signal.SIGKILL)
    assert outcome(process) == serial
    workers += others
    wait_for(lambda: not any("worker_process" in command_of(pid) for pid in workers))
    journal = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    assert sum(event["event"] == "part" and event["kind"] == "finalist" for event in journal) >= 4 + 2
    done = [(event["task"], event["step"]) for event in journal if event["event"] == "step"]
    assert len(done) == len(set(done))


def test_an_interrupted_run_leaves_no_worker_and_goes_on(tmp_path, serial):
    process = start(*NEW, "--out", tmp_path / "run", "--workers", "2")
    workers = wait_for(lambda: steps(tmp_path / "run", "leaf") and below(process.pid))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    wait_for(lambda: not any("worker_process" in command_of(pid) for pid in workers), 20)
    again = start("--resume", tmp_path / "run", "--json")
    assert outcome(again) == serial


def test_a_ray_cluster_gives_the_same_and_a_worker_may_be_shot(tmp_path, serial):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    process = start(*NEW, "--out", tmp_path / "run", "--workers", "ray:2")
    found = wait_for(lambda: steps(tmp_path / "run", "leaf") and called("Performer", process.pid))
    servers = [*called("gcs_server", process.pid), *called("raylet", process.pid)]
    assert servers
    assert all("RAY_AUTH_MODE=token" in environment_of(pid) for pid in (*servers, *found))
    os.kill(found[0], signal.SIGKILL)
    assert outcome(process) == serial
    wait_for(lambda: not any("ray" in command_of(pid) for pid in (*servers, *found)))


def environment_of(pid):
    return Path(f"/proc/{pid}/environ").read_text().split("\0")
