"""NNI's server: where it lies, and how it is spoken to; it answers on 127.0.0.1 alone, behind our guard."""

import http.client
import importlib.metadata
import importlib.util
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nasengine.errors import ConfigError, DependencyError, ViewError

ADDRESS = "127.0.0.1"
NNI_VERSION = "3.0"
API = "/api/v1/nni"
START_SECONDS = 60.0
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
                f"{self.process.returncode}: {last_lines(self.log)}"
            )

    def wait_until_ready(self, pause: float) -> None:
        """Look again and again whether it answers.

        Args:
            pause: seconds between two looks.

        Raises:
            ViewError: it has ended, or takes too long.
        """
        last = time.monotonic() + START_SECONDS
        while not is_ready(self.port):
            self.check()
            if time.monotonic() > last:
                raise ViewError(
                    f"NNI's server: expected an answer within {START_SECONDS:.0f} s: {last_lines(self.log)}"
                )
            time.sleep(pause)


def server_folder() -> Path:
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


def free_port(port: int) -> int:
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


def is_ready(port: int) -> bool:
    try:
        status, content = ask(port, "GET", f"{API}/check-status", {})
        return status == http.client.OK and json.loads(content)["status"] == "INITIALIZED"
    except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError):
        return False


def ask(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
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


def last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")[-KEPT_LINES - 1 :]
    return " ".join(" ".join(lines).split())[:500] or "it wrote nothing"
