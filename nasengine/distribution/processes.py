"""Workers that are processes of this machine."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from nasengine.distribution.dispatch import WorkerDiedError
from nasengine.distribution.pipes import read_message_bytes, write_message

MODULE = "nasengine.distribution.worker_process"
SHOWN_BYTES = 300


class ProcessWorker:
    """One process, in a session of its own, so that it and whatever it starts can be ended together."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="nasengine-workers-")
        self._errors = Path(self._folder.name) / "stderr"
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                start_new_session=True, env={**os.environ, "TMPDIR": self._folder.name},
            )  # fmt: skip

    def begin(self, content: bytes) -> None:
        """Send a request."""
        assert self._process.stdin is not None
        try:
            write_message(self._process.stdin, content)
        except OSError as fault:
            raise WorkerDiedError(self._cause()) from fault

    def next(self) -> bytes:
        """Wait for a report."""
        assert self._process.stdout is not None
        found = read_message_bytes(self._process.stdout)
        if found is None:
            raise WorkerDiedError(self._cause())
        return found

    def close(self) -> None:
        """End the process and what belongs to it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                with suppress(OSError):  # what was not sent yet has nobody to go to
                    pipe.close()
        self._folder.cleanup()

    def _cause(self) -> str:
        code = self._process.wait()
        last = self._errors.read_bytes()[-SHOWN_BYTES:].decode(errors="replace").strip().splitlines()
        return f"exit code {code}" + (f", {last[-1]}" if last else "")
