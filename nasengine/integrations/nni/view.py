"""NNI's own server, as a reader of one experiment: started, guarded and ended by us.

NNI 3.0 is archived, so its defects stay. What is worked around here, and in ``guard.js``, which is loaded into the
server before NNI's code:

- NNI's launcher (``nni.experiment``, ``nnictl``) is not used: it registers experiments in the user's home, leaves the
  server behind when it is ended by a signal, and prints addresses of all interfaces. The server is started directly,
  with a home of its own.
- The server listens on every interface and asks nobody for a password: it is bound to 127.0.0.1, and refuses other
  names of the machine. To look from elsewhere, forward the port: ``ssh -L 8080:127.0.0.1:8080 MACHINE``. Other users of
  the same machine can reach the port; they see the results of the run, and can change nothing.
- The server reads any file, unpickles parameters, fetches pages of others, and starts programs: it answers only what
  its page reads; starting to view needs a secret that this process alone knows.
- The server outlives its parent: it is a process group of its own, which is ended with the page, and it ends by itself
  when its standard input closes, so that not even SIGKILL of this process leaves it behind.
- The page contacts a CDN, and goes blank when the result of a new trial arrives before the trial: see ``page.js``.
"""

import http.client
import importlib.metadata
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nasengine.errors import ConfigError, DependencyError, ViewError
from nasengine.integrations.nni.experiment_database import PLATFORM, ExperimentDatabase
from nasengine.integrations.nni.recorded_run import Recording

ADDRESS = "127.0.0.1"
NNI_VERSION = "3.0"
GUARD = Path(__file__).with_name("guard.js")
START_SECONDS, POLL_SECONDS = 60.0, 0.05
API = "/api/v1/nni"
KEPT_LINES = 3


@dataclass
class View:
    """A server that answers."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Address of the page's overview."""
        return f"http://{ADDRESS}:{self.port}/oview"

    def check(self) -> None:
        """See that the server is still there.

        Raises:
            ViewError: it has ended.
        """
        if self.process.poll() is not None:
            raise ViewError(
                f"NNI's server: expected it to run until it is stopped, got its end with code "
                f"{self.process.returncode}: {_last_lines(self.log)}"
            )


@contextmanager
def opened(database: ExperimentDatabase, recording: Recording, port: int) -> Iterator[View]:
    """Show an experiment as long as the block lasts; after it, no process and no listening port is left.

    Args:
        database: what is shown.
        recording: the run that was written to it.
        port: on 127.0.0.1; 0 takes a free one.

    Raises:
        ConfigError: the port is taken.
        DependencyError: NNI 3.0 is not installed.
        ViewError: the server does not start.
    """
    command = [*_server(), "--experiment-id", database.id, "--experiments-directory", str(database.experiments)]
    chosen = _free_port(port)
    secret = secrets.token_hex(32)
    log = database.home / "server.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(chosen)], cwd=_server_folder(), env=_environment(database.home, secret),
            stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        view = View(process, chosen, log)
        database.register(recording, chosen, process.pid)
        _begin(view, secret)
        yield view
    finally:
        _stop(process)


def _server() -> list[str]:
    node = _server_folder() / ("node.exe" if sys.platform == "win32" else "node")
    return [
        str(node), "--require", str(GUARD), "main.js", "--action", "view", "--mode", PLATFORM, "--log-level", "info",
        "--python-interpreter", sys.executable,
    ]  # fmt: skip


def _server_folder() -> Path:
    """Where NNI's wheel has put its server; NNI itself is not imported.

    Raises:
        DependencyError: NNI is missing, of another version, or without its server.
    """
    try:
        version = importlib.metadata.version("nni")
    except importlib.metadata.PackageNotFoundError as fault:
        raise DependencyError(
            f"package nni: expected version {NNI_VERSION}, got none; install it with: pip install nni=={NNI_VERSION} "
            "(it has wheels for Linux, macOS and Windows on x86-64 processors only)"
        ) from fault
    if version != NNI_VERSION:
        raise DependencyError(
            f"package nni: expected version {NNI_VERSION}, which the page's guard was written for, got {version}; "
            f"install it with: pip install nni=={NNI_VERSION}"
        )
    found = importlib.util.find_spec("nni_node")
    folders = list(found.submodule_search_locations or []) if found is not None else []
    for folder in map(Path, folders):
        if (folder / "main.js").is_file() and any((folder / name).is_file() for name in ("node", "node.exe")):
            return folder
    raise DependencyError(
        "package nni: expected NNI's server (nni_node, with node in it), got none; install it again with: "
        f"pip install --force-reinstall nni=={NNI_VERSION}"
    )


def _free_port(port: int) -> int:
    """See that a port is free, or find one.

    Raises:
        ConfigError: it is not.
    """
    with socket.socket() as trial:
        if sys.platform != "win32":  # connections of a page that was just closed are no hindrance; there it would share
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((ADDRESS, port))
            return int(trial.getsockname()[1])
        except (OSError, OverflowError) as fault:
            reason = fault.strerror if isinstance(fault, OSError) else str(fault)
            raise ConfigError(
                f"--port {port}: expected a free port on {ADDRESS}, got one that cannot be used ({reason}); "
                "choose another, or 0 for any that is free"
            ) from fault


def _environment(home: Path, secret: str) -> dict[str, str]:
    """Nothing of the user's environment but what starting a program needs: no proxies, no options for node."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
    return {**kept, "HOME": str(home), "USERPROFILE": str(home), "NASENGINE_SECRET": secret}


def _begin(view: View, secret: str) -> None:
    """Wait for the server, and have it open the experiment."""
    last = time.monotonic() + START_SECONDS
    while not _is_ready(view.port):
        view.check()
        if time.monotonic() > last:
            raise ViewError(f"NNI's server: expected an answer within {START_SECONDS:.0f} s: {_last_lines(view.log)}")
        time.sleep(POLL_SECONDS)
    for method in ("POST", "GET"):  # open it, and look whether the run has ended
        status, content = _ask(view.port, method, f"{API}/experiment", {"X-NasEngine-Secret": secret})
        if status != http.client.OK:
            raise ViewError(f"NNI's server: expected it to open the experiment, got status {status}: {content[:200]!r}")


def _is_ready(port: int) -> bool:
    try:
        status, content = _ask(port, "GET", f"{API}/check-status", {})
        return status == http.client.OK and json.loads(content)["status"] == "INITIALIZED"
    except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError):
        return False


def _ask(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """An answer of the guarded server; one without the guard is none of ours."""
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=START_SECONDS)  # no proxy, unlike urllib
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.headers.get("X-NasEngine-Guard") != "on":
            raise ViewError(f"port {port}: expected NNI's server with our guard, got another; choose another --port")
        return answer.status, content
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and all below it at once: it holds nothing that must be saved."""
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)  # the group has the number of its first process, not yet waited for
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")[-KEPT_LINES - 1 :]
    return " ".join(" ".join(lines).split())[:500] or "it wrote nothing"
