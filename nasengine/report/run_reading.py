"""What a run folder holds, read without opening it for writing, as far as it can be read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasengine.errors import StoreError
from nasengine.store.journal import MAX_BYTES, Event
from nasengine.store.run_store import JOURNAL_NAME, SUMMARY_NAME, in_force

MAX_JSON_BYTES = 64 * 2**20
STOPPED = "stopped"
"""Name of the event with which a run that fails or is interrupted says why."""


@dataclass(frozen=True)
class RunContent:
    """A run, as far as it is there.

    Args:
        folder: where it lies.
        events: of the journal that could be read.
        summary: its outcome; None for a run that is not finished.
        family: summary of the family; None without one.
        card: of the export; None without one.
        faults: what could not be read, a sentence each.
    """

    folder: Path
    events: tuple[Event, ...]
    summary: dict[str, Any] | None
    family: dict[str, Any] | None
    card: dict[str, Any] | None
    faults: tuple[str, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """What the run was started with; empty where nothing says so."""
        for content in (*self.events[:1], self.summary or {}):
            if isinstance(content.get("settings"), dict):
                return content["settings"]
        return {}

    @property
    def steps(self) -> list[Event]:
        """Steps that are whole."""
        return [
            event
            for event in self.events
            if event["event"] == "step"
            and isinstance(event.get("task"), str)
            and isinstance(event.get("metrics"), dict)
        ]

    def last(self, name: str) -> Event | None:
        """The newest event of a kind."""
        return next((event for event in reversed(self.events) if event["event"] == name), None)

    @property
    def stopped(self) -> str | None:
        """Why the run stopped before its end, if it said so and did not go on."""
        last = self.events[-1] if self.events else {}
        return str(last.get("reason")) if self.summary is None and last.get("event") == STOPPED else None

    @property
    def status(self) -> str:
        """``finished``, ``stopped``, or how far it is."""
        if self.summary is not None:
            return "finished"
        if self.stopped is not None:
            return "stopped"
        return f"in {self.steps[-1]['task']}" if self.steps else "started"


def read_run(folder: Path) -> RunContent:
    """Read a run that may be unfinished or damaged.

    Raises:
        StoreError: no run of a search, or neither its journal nor its summary can be read.
    """
    faults: list[str] = []
    events = _read_journal(folder / JOURNAL_NAME, faults)
    summary, family, card = (
        _read_object(folder / name, faults)
        for name in (SUMMARY_NAME, f"family/{SUMMARY_NAME}", "export/card.json")
    )  # fmt: skip
    found = RunContent(folder, tuple(in_force(events)), summary, family, card, tuple(faults))
    if not isinstance(found.settings.get("space"), str):
        is_other = bool(found.settings) or summary is not None
        other = "something else, such as a family, which the page of its run shows"
        what = faults[0] if faults else other if is_other else "neither" if folder.is_dir() else "no folder"
        raise StoreError(
            f"run folder {folder}: expected a {JOURNAL_NAME} that begins with settings of a search, or a "
            f"{SUMMARY_NAME}, got {what}; see 'nasengine runs'"
        )
    return found


def _read_journal(path: Path, faults: list[str]) -> list[Event]:
    """Events of all lines that are whole; a last line without an end is being written, and no fault."""
    content = _read_bytes(path, faults, MAX_BYTES)
    events, damaged = [], []
    for place, line in enumerate((content or b"").split(b"\n")[:-1], start=1):
        event = _parsed(line)
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            events.append(event)
        else:
            damaged.append(place)
    if damaged:
        faults.append(f"{path.name}: {len(damaged)} of its lines are damaged, the first is line {damaged[0]}")
    return events


def _read_object(path: Path, faults: list[str]) -> dict[str, Any] | None:
    content = _read_bytes(path, faults, MAX_JSON_BYTES)
    if content is None:
        return None
    found = _parsed(content)
    if isinstance(found, dict):
        return found
    faults.append(f"{path.parent.name}/{path.name}: expected a JSON object, got something else")
    return None


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _read_bytes(path: Path, faults: list[str], most: int) -> bytes | None:
    """Content of a file; None where there is none, or where it cannot be read, which is a fault."""
    try:
        if path.stat().st_size > most:
            faults.append(f"{path.name}: expected at most {most} bytes")
            return None
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as fault:
        faults.append(f"{path.parent.name}/{path.name}: could not be read ({fault.strerror})")
        return None
