"""One process at a time: a lock that the system releases when its holder dies, however it dies."""

import sys
from pathlib import Path

from nasengine.errors import StoreError

LOCK_NAME = "lock"


class FolderLock:
    """Holds ``folder/lock`` from construction until ``release`` or the end of the process.

    Raises:
        StoreError: another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._file = open(folder / LOCK_NAME, "a+")  # noqa: SIM115 (held open on purpose)
        except OSError as fault:
            raise StoreError(f"run folder {folder}: could not be locked ({fault.strerror})") from fault
        try:
            _lock(self._file.fileno())
        except OSError as fault:
            self._file.close()
            raise StoreError(
                f"run folder {folder}: expected no other process to work on it, got one that does; "
                "wait for it, stop it, or choose another --out"
            ) from fault

    def release(self) -> None:
        """Let others in."""
        self._file.close()


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
