"""A run: its settings, how far each of its tasks is, and what came out of it."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasengine.errors import StoreError
from nasengine.store.artifacts import ArtifactStore, write_file
from nasengine.store.journal import Event, Journal
from nasengine.store.lock import LOCK_NAME, FolderLock

FORMAT_VERSION = 1
JOURNAL_NAME, SUMMARY_NAME, ARTIFACTS_NAME = "journal.jsonl", "summary.json", "artifacts"
DISCARDED = "discarded"
STEP_ENTRIES = {"task": str, "step": int, "state": str, "metrics": dict}


class RunStore:
    """A run folder, opened for writing by one process.

    The journal's first event holds the settings; every later one the outcome of a step. State lives in artifacts that
    the journal names, so that a run can be killed at any moment: what the journal does not name did not happen.
    """

    def __init__(self, folder: Path, events: list[Event]) -> None:
        self.folder = folder
        self.journal = Journal(folder / JOURNAL_NAME)
        self.artifacts = ArtifactStore(folder / ARTIFACTS_NAME)
        self.events = events
        self._lock = FolderLock(folder)

    @classmethod
    def create(cls, folder: Path, settings: dict[str, Any]) -> "RunStore":
        """Start a run in a new or empty folder.

        Raises:
            StoreError: the folder holds something already or cannot be made.
        """
        is_new = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = {path.name for path in folder.iterdir()}
        except OSError as fault:
            raise StoreError(f"run folder {folder}: could not be made ({fault.strerror})") from fault
        # A run that died before its first line left nothing worth keeping.
        began = JOURNAL_NAME in found and bool(Journal(folder / JOURNAL_NAME).read())
        if found - {JOURNAL_NAME, LOCK_NAME} or began:
            raise StoreError(
                f"run folder {folder}: expected a new or empty folder, got files in it; "
                "continue that run with --resume, or choose another --out"
            )
        store = cls(folder, [])
        store.journal.repair()
        try:
            store.record("settings", version=FORMAT_VERSION, settings=settings)
        except StoreError:
            store.close()
            for name in (JOURNAL_NAME, LOCK_NAME):
                (folder / name).unlink(missing_ok=True)
            if is_new:
                folder.rmdir()
            raise
        return store

    @classmethod
    def open(cls, folder: Path) -> "RunStore":
        """Continue a run.

        Raises:
            StoreError: the folder is no run, is of another version, or is in use.
        """
        read_settings(folder)
        store = cls(folder, [])
        store.journal.repair()
        store.events = in_force(store.journal.read())
        try:
            _check_steps(folder, store.events)
        except StoreError:
            store.close()
            raise
        store.artifacts.keep_only(store._named_artifacts())
        return store

    def close(self) -> None:
        """Let other processes have the folder."""
        self._lock.release()

    @property
    def settings(self) -> dict[str, Any]:
        """What the run was started with."""
        return self.events[0]["settings"]

    def record(self, event: str, **content: Any) -> None:
        """Append an event to the journal."""
        line = {"event": event, "time": round(time.time(), 3), **content}
        self.journal.append(line)
        self.events.append(line)

    def find(self, event: str, **content: Any) -> Iterator[Event]:
        """Events of a kind whose entries equal ``content``, oldest first."""
        for line in self.events:
            if line["event"] == event and all(line.get(key) == value for key, value in content.items()):
                yield line

    def last(self, event: str, **content: Any) -> Event | None:
        """The newest such event."""
        return next(reversed(list(self.find(event, **content))), None)

    def checkpoint(self, task: str, step: int, state: bytes, metrics: dict[str, Any], seconds: float) -> None:
        """Record that a step is done, with the state after it; the state before it is then deleted."""
        previous = self.last("step", task=task)
        name = self.artifacts.put(state, "safetensors")
        self.record("step", task=task, step=step, state=name, metrics=metrics, seconds=seconds)
        if previous is not None and previous["state"] not in self._named_artifacts():
            (self.artifacts.folder / previous["state"]).unlink(missing_ok=True)

    def discard(self, tasks: Sequence[str], kinds: Sequence[str]) -> None:
        """Take back all steps of tasks and all events of kinds so far, and the outcome: they are to be done again.

        The journal keeps its lines; who reads it passes over them (``in_force``).
        """
        (self.folder / SUMMARY_NAME).unlink(missing_ok=True)
        kept = in_force([*self.events, {"event": DISCARDED, "tasks": [*tasks], "kinds": [*kinds]}])
        if len(kept) <= len(self.events):
            self.record(DISCARDED, tasks=[*tasks], kinds=[*kinds])
            self.events = in_force(self.events)
            self.artifacts.keep_only(self._named_artifacts())

    def write(self, name: str, content: bytes) -> Path:
        """A file with a readable name beside the journal."""
        path = self.folder / name
        write_file(path, content)
        return path

    def write_summary(self, summary: dict[str, Any]) -> None:
        """The outcome of the run."""
        self.write(SUMMARY_NAME, json.dumps(summary, indent=2).encode() + b"\n")

    def _named_artifacts(self) -> set[str]:
        """Artifacts that are needed: the newest state of each task, and all results."""
        names = {event["artifact"] for event in self.events if "artifact" in event}
        newest = {event["task"]: event["state"] for event in self.events if event["event"] == "step"}
        return names | set(newest.values())


def in_force(events: Sequence[Event]) -> list[Event]:
    """Events that no later one discards.

    >>> [event["event"] for event in in_force([{"event": "test"}, {"event": "discarded", "kinds": ["test"]}])]
    ['discarded']
    """
    kept: list[Event] = []
    for event in events:
        if event["event"] == DISCARDED:
            tasks, kinds = (found if isinstance(found := event.get(key), list) else [] for key in ("tasks", "kinds"))
            kept = [
                one
                for one in kept
                if one["event"] not in kinds and not (one["event"] == "step" and one.get("task") in tasks)
            ]
        kept.append(event)
    return kept


def read_settings(folder: Path) -> dict[str, Any]:
    """Settings of a run, without opening it for writing.

    Raises:
        StoreError: the folder is no run of this version.
    """
    if not (folder / JOURNAL_NAME).is_file():
        what = "a folder without one" if folder.is_dir() else "no folder"
        raise StoreError(f"run folder {folder}: expected a {JOURNAL_NAME} in it, got {what}; see 'nasengine runs'")
    events = Journal(folder / JOURNAL_NAME).read()
    if not events or events[0].get("event") != "settings" or not isinstance(events[0].get("settings"), dict):
        raise StoreError(f"run folder {folder}: expected a journal that begins with settings; start a new run")
    if events[0].get("version") != FORMAT_VERSION:
        raise StoreError(
            f"run folder {folder}: expected version {FORMAT_VERSION}, got {events[0].get('version')}; "
            "use the version of nasengine that wrote it"
        )
    return events[0]["settings"]


def _check_steps(folder: Path, events: list[Event]) -> None:
    """Raise StoreError unless every step says all that resuming needs."""
    for number, event in enumerate(events, start=1):
        if event["event"] == "step" and any(not isinstance(event.get(k), kind) for k, kind in STEP_ENTRIES.items()):
            raise StoreError(
                f"run folder {folder}, {JOURNAL_NAME}, line {number}: expected a step with "
                f"{', '.join(STEP_ENTRIES)}, got {str(event)[:80]}; start a new run"
            )


@dataclass(frozen=True)
class RunSummary:
    """One line of ``nasengine runs``: ``status`` is ``finished``, the task that it is in, or ``damaged``."""

    folder: Path
    settings: dict[str, Any]
    status: str
    summary: dict[str, Any] | None


def list_runs(folder: Path) -> list[RunSummary]:
    """All runs directly inside a folder, oldest first; folders without a journal are passed over."""
    found = []
    for path in sorted(folder.glob(f"*/{JOURNAL_NAME}"), key=lambda path: path.stat().st_mtime):
        try:
            settings = read_settings(path.parent)
            events = in_force(Journal(path).read())
            _check_steps(path.parent, events)
            summary = read_summary(path.parent / SUMMARY_NAME)
        except StoreError:
            found.append(RunSummary(path.parent, {}, "damaged", None))
            continue
        steps = [event for event in events if event["event"] == "step"]
        begun = "in trials" if any(event["event"] == "trial" for event in events) else "started"
        status = "finished" if summary else f"in {steps[-1]['task']}" if steps else begun
        found.append(RunSummary(path.parent, settings, status, summary))
    return found


def read_summary(path: Path) -> dict[str, Any] | None:
    """The outcome of a run; None while there is none.

    Raises:
        StoreError: a file that no run wrote.
    """
    if not path.is_file():
        return None
    try:
        summary = json.loads(path.read_text())
    except (ValueError, OSError, RecursionError) as fault:
        raise StoreError(f"summary {path}: expected JSON, got {fault}") from fault
    if not isinstance(summary, dict):
        raise StoreError(f"summary {path}: expected an object, got {type(summary).__name__}")
    return summary
