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
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nasengine.errors import ViewError
from nasengine.integrations.nni.experiment_database import PLATFORM, ExperimentDatabase
from nasengine.integrations.nni.recorded_run import Recording
from nasengine.integrations.nni.server import (
    API,
    View,
    ask,
    free_port,
    server_folder,
)

GUARD = Path(__file__).with_name("guard.js")
POLL_SECONDS = 0.05


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
    chosen = free_port(port)
    secret = secrets.token_hex(32)
    log = database.home / "server.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(chosen)], cwd=server_folder(), env=_environment(database.home, secret),
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
    node = server_folder() / ("node.exe" if sys.platform == "win32" else "node")
    return [
        str(node), "--require", str(GUARD), "main.js", "--action", "view", "--mode", PLATFORM, "--log-level", "info",
        "--python-interpreter", sys.executable,
    ]  # fmt: skip


def _environment(home: Path, secret: str) -> dict[str, str]:
    """Nothing of the user's environment but what starting a program needs: no proxies, no options for node."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
    return {**kept, "HOME": str(home), "USERPROFILE": str(home), "NASENGINE_SECRET": secret}


def _begin(view: View, secret: str) -> None:
    """Wait for the server, and have it open the experiment."""
    view.wait_until_ready(POLL_SECONDS)
    for method in ("POST", "GET"):  # open it, and look whether the run has ended
        status, content = ask(view.port, method, f"{API}/experiment", {"X-NasEngine-Secret": secret})
        if status != http.client.OK:
            raise ViewError(f"NNI's server: expected it to open the experiment, got status {status}: {content[:200]!r}")


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
