"""Files by the hash of their content, written whole or not at all."""

import hashlib
import os
import tempfile
from pathlib import Path

from nasengine.errors import StoreError


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that it is on disk, whole, when this returns; on failure nothing is left behind.

    Raises:
        StoreError: the disk is full or the folder cannot be written to.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as fault:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise StoreError(f"file {path}: could not write ({fault.strerror}); free space and resume") from fault


class ArtifactStore:
    """Files named by the sha256 of their content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, content: bytes, suffix: str) -> str:
        """Store bytes; returns the name of the artifact, ``<sha256>.<suffix>``."""
        name = f"{hashlib.sha256(content).hexdigest()}.{suffix}"
        if not (self.folder / name).exists():
            write_file(self.folder / name, content)
        return name

    def get(self, name: str) -> bytes:
        """Bytes of an artifact, checked against its name.

        Raises:
            StoreError: the file is missing or is not what was stored.
        """
        path = self.folder / Path(name).name
        try:
            content = path.read_bytes()
        except OSError as fault:
            raise StoreError(
                f"artifact {path}: expected a file that the journal names, got {fault.strerror}"
            ) from fault
        if hashlib.sha256(content).hexdigest() != path.name.split(".")[0]:
            raise StoreError(f"artifact {path}: expected content that matches its name, got a changed file")
        return content

    def keep_only(self, names: set[str]) -> None:
        """Delete all other artifacts, and what was left by interrupted writes."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if path.name not in names and path.is_file():
                    path.unlink(missing_ok=True)
