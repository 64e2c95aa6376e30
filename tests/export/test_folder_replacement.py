"""Folders are written whole or not at all, and a user's files are never deleted."""

import errno
import os
import resource
from pathlib import Path

import pytest

from export.folder_replacement import draft_of
from nasengine.errors import ExportError

NAMES = ("model.onnx", "card.md")


@pytest.fixture
def older(tmp_path) -> Path:
    folder = tmp_path / "place" / "export"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_text("older")
    return folder


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def unchanged(folder: Path) -> bool:
    return names(folder.parent) == ["export"] and (folder / "model.onnx").read_text() == "older"


def test_an_older_export_is_replaced_whole(older):
    with draft_of(older, NAMES) as draft:
        (draft / "card.md").write_text("newer")
        assert (older / "model.onnx").read_text() == "older"
    assert names(older) == ["card.md"]
    assert names(older.parent) == ["export"]


def test_a_file_system_that_takes_no_more_leaves_all_as_it_was(older):
    """The kernel's limit on the size of files stands in for a full disk: writing fails half-way."""

    def write(draft: Path) -> None:
        (draft / "card.md").write_text("short")
        (draft / "model.onnx").write_bytes(bytes(5000))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(ExportError, match="could not be written .File too large"), draft_of(older, NAMES) as draft:
            write(draft)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert unchanged(older)


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_full_disk_at_the_end_leaves_all_as_it_was(older, monkeypatch, call):
    rename = Path.rename

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full_for_new(path: Path, target: Path) -> Path:
        return full() if path.name == "new" else rename(path, target)

    monkeypatch.setattr(*((os, "fsync", full) if call == "fsync" else (Path, "rename", full_for_new)))
    with (
        pytest.raises(ExportError, match="could not be written .No space left on device"),
        draft_of(older, NAMES) as new,
    ):
        (new / "card.md").write_text("newer")
    assert unchanged(older)


def test_interruptions_and_faults_leave_all_as_it_was(older):
    with pytest.raises(KeyboardInterrupt), draft_of(older, NAMES):
        raise KeyboardInterrupt
    with pytest.raises(ExportError, match=f"file {older}/model.onnx: bad"), draft_of(older, NAMES) as draft:
        raise ExportError(f"file {draft}/model.onnx: bad")
    assert unchanged(older)


def test_files_of_the_user_are_never_deleted(older):
    (older / "thesis.tex").write_text("years")
    with pytest.raises(ExportError, match=r"got other files in it \(thesis.tex\); choose another --out"):
        draft_of(older, NAMES).__enter__()
    file = older / "model.onnx"
    with pytest.raises(ExportError, match="expected a folder, got a file"):
        draft_of(file, NAMES).__enter__()
    with pytest.raises(ExportError, match="could not be written .Not a directory"):
        draft_of(file / "deeper" / "export", NAMES).__enter__()
    assert (older / "thesis.tex").read_text() == "years"
