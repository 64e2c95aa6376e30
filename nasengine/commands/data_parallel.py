"""One run in several processes that torchrun started, which share every batch.

All of them run the same program. The first owns the run folder, prints and draws; each of the others keeps a store of
its own in a temporary folder, which goes when it ends, and prints nothing.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import typer

from nasengine.errors import ConfigError, DeviceError, NasEngineError
from nasengine.report.console import EXIT_BAD_INPUT, EXIT_INTERRUPTED
from nasengine.store.lock import LOCK_NAME

if TYPE_CHECKING:
    from nasengine.store import RunStore

VARIABLES = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
LONGEST_WAIT = timedelta(minutes=30)
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class OwnProcess:
    """This process among those that share a run.

    Args:
        scratch: folder for the store of a process other than the first.
    """

    scratch: Path | None = None

    def join(self, device: str, workers: str | None, expected: int | None = None) -> int:
        """Meet the other processes, if torchrun started this one; every process of a machine takes a GPU of its own.

        Args:
            device: ``cpu`` or ``cuda``.
            workers: what ``--workers`` says.
            expected: number of processes of the run that goes on.

        Returns:
            How many there are, 1 alone.

        Raises:
            ConfigError: workers as well, or another number than expected.
            DeviceError: fewer GPUs than processes.
        """
        count = int(os.environ["WORLD_SIZE"]) if is_under_torchrun() else 1
        if expected is not None and count != expected:
            start = f"torchrun --nproc-per-node {expected} -m cli" if expected > 1 else "nasengine"
            raise ConfigError(
                f"--resume: expected {expected} processes as the run began with, got {count}; go on with {start} search"
            )
        if not is_under_torchrun():
            return 1
        if workers is not None:
            raise ConfigError(
                f"--workers: expected none under torchrun, whose processes share every batch, got {workers}; "
                "leave one of them out"
            )
        _join(device)
        return count

    def create(self, folder: Path, settings: dict[str, Any]) -> "RunStore":
        """Start a run."""
        from nasengine.store import RunStore

        return RunStore.create(folder if self.scratch is None else self.scratch / "run", settings)

    def open(self, folder: Path) -> "RunStore":
        """Go on with a run; all processes with what the first one found."""
        from nasengine.optimization import wait_for_all
        from nasengine.store import RunStore

        store = RunStore.open(folder) if self.scratch is None else None  # mends the journal
        wait_for_all()
        if self.scratch is not None:
            copy = shutil.copytree(folder, self.scratch / "run", ignore=shutil.ignore_patterns(LOCK_NAME, ".writing-*"))
            store = RunStore.open(copy)
        wait_for_all()  # before the first one writes
        assert store is not None
        return store


def is_under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return all(name in os.environ for name in VARIABLES)


def resume_command(folder: Path, processes: int) -> str:
    """What a user types to go on with a run."""
    start = "nasengine" if processes == 1 else f"torchrun --nproc-per-node {processes} -m cli"
    return f"{start} search --resume {folder}"


def in_every_process(work: Callable[[OwnProcess], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """Work of a command, which only the first process reports on; it leaves the others when it has ended well."""

    def done() -> dict[str, Any]:
        if is_under_torchrun():  # when one process ends early, torchrun sends this to the others
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        if is_under_torchrun() and int(os.environ["RANK"]) > 0:
            _do_quietly(work)
            raise typer.Exit(0)
        content = work(OwnProcess())
        _leave()
        return content

    return done


def _do_quietly(work: Callable[[OwnProcess], dict[str, Any]]) -> None:
    """Work of a process other than the first; what went wrong here alone is still said."""
    try:
        fault = _fault_of(work)
        if fault is not None:
            time.sleep(PATIENCE_SECONDS)  # the first process says the same; when it has ended, torchrun ends this one
            sys.stderr.write(f"nasengine, process {os.environ['RANK']}: {' '.join(str(fault).split())}\n")
            raise typer.Exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _fault_of(work: Callable[[OwnProcess], dict[str, Any]]) -> NasEngineError | None:
    """Work of which nothing is seen; None where it went well."""
    try:
        with TemporaryDirectory(prefix="nasengine-") as folder, open(os.devnull, "w") as nowhere:
            with redirect_stdout(nowhere), redirect_stderr(nowhere):
                work(OwnProcess(Path(folder)))
            _leave()
    except NasEngineError as fault:
        return fault
    return None


def _join(device: str) -> None:
    import torch
    import torch.distributed as dist

    if device == "cuda":
        found, wanted = torch.cuda.device_count(), int(os.environ["LOCAL_WORLD_SIZE"])
        if found < wanted:
            raise DeviceError(
                f"torchrun: expected a GPU for each of {wanted} processes, got {found}; start as many with "
                "--nproc-per-node as there are GPUs, or use --device cpu"
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=LONGEST_WAIT)


def _leave() -> None:
    """Say goodbye; after an error nobody listens any more."""
    if is_under_torchrun():
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()
