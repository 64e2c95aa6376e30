"""NNI's own server on our database, behind our guard: what it says, where it listens, and what it refuses."""

import http.client
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from nasengine.errors import ConfigError, DependencyError, ViewError
from nasengine.integrations.nni import ExperimentDatabase, opened, server, view
from tests.integrations.nni.runs import PATHS, WrittenRun

pytest.importorskip("nni_node", reason="NNI has no wheel for this machine")
API = "/api/v1/nni"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A finished run behind a free port; one server answers all tests of this file."""
    folder = tmp_path_factory.mktemp("view")
    run = WrittenRun(folder / "run")
    run.do_everything()
    home = folder / "home"
    home.mkdir()
    database = ExperimentDatabase(home, "run")
    recording = run.recorded().read()
    database.write(recording)
    with opened(database, recording, 0) as shown:
        yield shown
    database.close()


def ask(page, path, method="GET", body=None, address=server.ADDRESS, **headers):
    connection = http.client.HTTPConnection(address, page.port, timeout=10)
    try:
        connection.request(method, path, body=body, headers={name.replace("_", "-"): v for name, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def told(page, path):
    status, content, _ = ask(page, API + path)
    assert status == 200, content
    return json.loads(content)


def test_nni_tells_every_trial(page):
    jobs = {job["trialJobId"]: job for job in told(page, "/trial-jobs")}
    assert {name: job["status"] for name, job in jobs.items()} == {
        "path-leaf0-0": "SUCCEEDED", "path-leaf0-1": "SUCCEEDED", "leaf-1": "FAILED", "finalist-0": "EARLY_STOPPED",
        "finalist-1": "SUCCEEDED", "finalist-2": "SUCCEEDED", "finalist-3": "FAILED", "winner": "SUCCEEDED",
    }  # fmt: skip
    assert sorted(job["sequenceId"] for job in jobs.values()) == list(range(8))
    assert all(job["endTime"] >= job["startTime"] for job in jobs.values())
    assert jobs["leaf-1"]["message"] == "loss is not finite"
    winner = json.loads(jobs["winner"]["hyperParameters"][0])["parameters"]
    assert (winner["stage"], winner["cell 0-1"], winner["cell 2-3"]) == ("winner", "skip_connect", "nor_conv_1x1")


def test_nni_tells_results_and_curves(page):
    [final] = [m for m in told(page, "/metric-data/winner") if m["type"] == "FINAL"]
    result = json.loads(json.loads(final["data"]))
    assert result["default"] == 0.9
    assert set(result) == {"default", "macs", "params", "peak_bytes", "latency_ms", "model_bytes"}
    curve = [m for m in told(page, "/metric-data/winner") if m["type"] == "PERIODICAL"]
    assert [json.loads(json.loads(m["data"]))["default"] for m in curve] == [0.5, 0.625, 0.75]
    exported = {entry["trialJobId"]: json.loads(entry["value"])["default"] for entry in told(page, "/export-data")}
    assert exported["finalist-2"] == 0.72
    assert told(page, "/trial-jobs/winner")["message"] == PATHS[2]


def test_nni_tells_of_the_experiment(page):
    profile = told(page, "/experiment")
    assert profile["params"]["experimentName"] == "run"
    assert profile["params"]["searchSpace"]["cell 0-1"]["_type"] == "choice"
    assert told(page, "/check-status") == {"status": "VIEWED", "errors": []}
    assert [entry["id"] for entry in told(page, "/experiments-info")] == ["run"]
    assert {entry["trialJobStatus"]: entry["trialJobNumber"] for entry in told(page, "/job-statistics")} == {
        "SUCCEEDED": 5, "FAILED": 2, "EARLY_STOPPED": 1,
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("ss") is None, reason="ss is not installed")
def test_it_listens_on_the_loopback_address_alone(page):
    lines = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout.splitlines()
    listening = [line.split()[3] for line in lines if line.split()[3].endswith(f":{page.port}")]
    assert listening == [f"127.0.0.1:{page.port}"]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def test_other_addresses_of_this_machine_are_refused(page, family):
    known = {entry.address for entries in psutil.net_if_addrs().values() for entry in entries if entry.family == family}
    others = (known | ({"127.0.0.2"} if family == socket.AF_INET else set())) - {"127.0.0.1"}
    for address in others:
        with socket.socket(family) as trial, pytest.raises(OSError, match="refused|unreachable|Invalid|assign"):
            trial.connect((address, page.port))


@pytest.mark.parametrize(
    "path",
    ["/trial-file/winner/..%2F..%2F..%2F..%2Fdb%2Fnni.sqlite", "/TRIAL-FILE/winner/trial.log", "/trial-file/winner/x",
     "/trial-jobs/..%2Fx", "//trial-file/winner/x", "/experiment/imported-data", "/tensorboard/1"],
)  # fmt: skip
def test_files_cannot_be_read(page, path):
    status, content, _ = ask(page, API + path)
    assert status == 403
    assert b"nasengine ui shows a run" in content


@pytest.mark.parametrize(
    "path", ["/logs/nnimanager.log", "/netron/", "/tuner", "/static/../main.js", "/service-worker.js"]
)
def test_nothing_but_the_page_is_served(page, path):
    assert ask(page, path)[0] == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/trial-jobs"), ("POST", "/experiment"), ("PUT", "/experiment?update_type=MAX_TRIAL_NUM"),
     ("DELETE", "/experiment"), ("DELETE", "/trial-jobs/winner"), ("POST", "/tensorboard"),
     ("POST", "/experiment/import-data"), ("PUT", "/experiment/cluster-metadata"), ("OPTIONS", "/experiment")],
)  # fmt: skip
def test_nothing_can_be_changed(page, method, path):
    """Among these is what NNI would unpickle, and what would end it."""
    headers = {"Content_Type": "application/json", "X_NasEngine_Secret": "0" * 64}
    assert ask(page, API + path, method, body='{"x": "bytes:gASVAA=="}', **headers)[0] == 403
    assert page.process.poll() is None


@pytest.mark.parametrize("host", ["example.org", "example.org:8080", "127.0.0.1.example.org", "0.0.0.0", ""])
def test_other_names_of_this_machine_are_refused(page, host):
    """A page elsewhere can point a name of its own to 127.0.0.1."""
    assert ask(page, "/oview", Host=host)[0] == 403
    assert ask(page, API + "/trial-jobs", Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost:9999", "127.0.0.1", "LOCALHOST"])
def test_forwarded_ports_are_served(page, host):
    assert ask(page, "/oview", Host=host)[0] == 200


def test_web_sockets_are_refused(page):
    handshake = (
        "GET /tuner HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection((server.ADDRESS, page.port), timeout=10) as connection:
        connection.sendall(handshake.encode())
        assert connection.recv(100) == b""


def test_the_page_may_contact_nobody(page):
    for path in ("/", "/oview", "/detail"):
        status, content, headers = ask(page, path)
        assert status == 200
        assert b"Neural Network Intelligence" in content
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self'; script-src 'self' 'sha256-")
        assert "http" not in policy
        assert "script-src 'self' 'unsafe" not in policy


def test_the_page_asks_for_trials_before_it_asks_for_their_results(page):
    """Otherwise it goes blank when results of a new trial come first; test_page.py sees it follow a run."""
    _, html, _ = ask(page, "/oview")
    name = html.decode().split("/static/js/main.")[1].split(".")[0]
    status, script, headers = ask(page, f"/static/js/main.{name}.js")
    assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert b"[await this.updateInfo(),await this.updateMetrics(e)]" in script
    assert b"Promise.all([this.updateInfo()" not in script


def test_the_server_sees_little_of_the_users_environment(page):
    seen = psutil.Process(page.process.pid).environ()
    assert set(seen) <= {"PATH", "LANG", "HOME", "USERPROFILE", "NASENGINE_SECRET"}
    assert Path(seen["HOME"]) != Path.home()


@pytest.fixture
def other(tmp_path):
    """Another run, and its database."""
    run = WrittenRun(tmp_path / "other")
    run.sample_paths()
    recording = run.recorded().read()
    database = ExperimentDatabase(tmp_path, "other")
    database.write(recording)
    yield database, recording
    database.close()
    run.store.close()


def test_taken_ports_are_refused(page, other):
    shown = opened(*other, page.port)
    with pytest.raises(ConfigError, match=f"--port {page.port}: expected a free port"), shown:
        pass
    assert ask(page, "/oview")[0] == 200


def test_ports_are_free_again_after_the_page(other):
    with opened(*other, 0) as shown:
        ask(shown, "/oview")
    assert shown.process.poll() is not None
    with socket.socket() as trial:
        assert trial.connect_ex((server.ADDRESS, shown.port)) != 0
    with opened(*other, shown.port) as again:
        assert again.port == shown.port


def test_a_server_that_dies_is_noticed(other):
    with opened(*other, 0) as shown:
        shown.process.kill()
        shown.process.wait()
        with pytest.raises(ViewError, match="got its end with code -9"):
            shown.check()


def test_a_server_that_cannot_start_says_why(other):
    database, recording = other
    (database.experiments / database.id / "db" / "nni.sqlite").unlink()
    with pytest.raises(ViewError, match="NNI's server: expected"), opened(database, recording, 0):
        pass


@pytest.mark.parametrize(
    ("version", "message"), [(None, "got none; install it"), ("3.0.1", "guard was written for, got 3.0.1")],
    ids=["none", "other"],
)  # fmt: skip
def test_other_versions_of_nni_are_refused(tmp_path, monkeypatch, version, message):
    """Packages are found in sys.path; here is a folder with another NNI in it, or with none."""
    if version is not None:
        (tmp_path / "nni.dist-info").mkdir()
        (tmp_path / "nni.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: nni\nVersion: {version}\n")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    with pytest.raises(DependencyError, match=message):
        server.server_folder()


def test_the_guard_does_not_work_without_a_secret(tmp_path):
    """A server with a secret that anyone can guess must not start."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NASENGINE_SECRET": "short"}
    folder = server.server_folder()
    command = [str(folder / "node"), "--require", str(view.GUARD), "--eval", "console.log('started')"]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "expected NASENGINE_SECRET" in result.stderr
    assert "started" not in result.stdout
