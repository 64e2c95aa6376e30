"""A folder that is written whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from nasengine.errors import ExportError, NasEngineError


@contextmanager
def draft_of(folder: Path, names: Collection[str]) -> Iterator[Path]:
    """A new folder beside ``folder``, which takes its place when the block ends well.

    Where the block ends with an error, or the disk is full, nothing of the draft stays, and an older folder is as it
    was. Files reach the disk before the folder gets its name.

    Args:
        folder: new, empty, or an older one with no other files than these.
        names: of the files that may be replaced.

    Raises:
        ExportError: files of other names are in the folder, or it cannot be written.
    """
    final = folder.resolve()
    try:
        _refuse_others(folder, final, names)
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=".export-") as place:
            draft = Path(place) / "new"
            draft.mkdir()
            try:
                yield draft
            except ExportError as fault:  # its message names files as the user knows them
                raise ExportError(str(fault).replace(str(draft), str(folder))) from fault
            _to_disk(draft)
            _exchange(draft, final, Path(place) / "old")
    except NasEngineError:
        raise
    except OSError as fault:
        raise ExportError(f"export folder {folder}: could not be written ({fault.strerror or fault})") from fault


def _refuse_others(folder: Path, final: Path, names: Collection[str]) -> None:
    if final.exists() and not final.is_dir():
        raise ExportError(f"export folder {folder}: expected a folder, got a file; choose another --out")
    others = sorted(path.name for path in final.iterdir() if path.name not in names) if final.is_dir() else []
    if others:
        raise ExportError(
            f"export folder {folder}: expected a new or empty folder or an older export, got other files in it "
            f"({', '.join(others[:3])}{', ...' if len(others) > 3 else ''}); choose another --out"
        )


def _exchange(draft: Path, final: Path, old: Path) -> None:
    """Two renames; where the second fails, the first is undone."""
    if not final.exists():
        draft.rename(final)
        return
    final.rename(old)
    try:
        draft.rename(final)
    except OSError:
        old.rename(final)
        raise
    shutil.rmtree(old)


def _to_disk(folder: Path) -> None:
    """A full disk may show only now."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
