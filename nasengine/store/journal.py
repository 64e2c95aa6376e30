"""An append-only journal of JSON lines that survives being killed in the middle of a line."""

import json
import os
from pathlib import Path
from typing import Any

from nasengine.errors import StoreError

Event = dict[str, Any]
MAX_BYTES = 1 * 2**30


class Journal:
    """Events in order. A line that was not finished is as if it had never been begun.

    >>> import tempfile
    >>> journal = Journal(Path(tempfile.mkdtemp()) / "journal.jsonl")
    >>> journal.append({"event": "note", "text": "started"})
    >>> journal.read()
    [{'event': 'note', 'text': 'started'}]
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Event]:
        """All finished events.

        Raises:
            StoreError: the file cannot be read, or a line other than the last is damaged.
        """
        events, _ = self._scan()
        return events

    def append(self, event: Event) -> None:
        """Write one event so that it is on disk when this returns; on failure the file is as it was."""
        line = json.dumps(event, allow_nan=False).encode() + b"\n"
        try:
            with open(self.path, "ab") as file:
                end = file.tell()
                try:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)
                    raise
        except OSError as fault:
            raise StoreError(
                f"journal {self.path}: could not write ({fault.strerror}); free space and resume"
            ) from fault

    def repair(self) -> None:
        """Cut off a torn last line, so that the next event starts on a line of its own."""
        _, length = self._scan()
        if self.path.exists() and self.path.stat().st_size > length:
            with open(self.path, "r+b") as file:
                file.truncate(length)

    def _scan(self) -> tuple[list[Event], int]:
        """Finished events, and the number of bytes that they take."""
        try:
            if self.path.stat().st_size > MAX_BYTES:
                raise StoreError(f"journal {self.path}: expected at most {MAX_BYTES} bytes")
            content = self.path.read_bytes()
        except FileNotFoundError:
            return [], 0
        except OSError as fault:
            if isinstance(fault, StoreError):
                raise
            raise StoreError(f"journal {self.path}: could not read ({fault.strerror})") from fault
        events: list[Event] = []
        length = 0
        lines = content.split(b"\n")[:-1]  # what follows the last line end was not finished
        for number, line in enumerate(lines, start=1):
            try:
                event = json.loads(line)
                if not isinstance(event, dict) or not isinstance(event.get("event"), str):
                    raise ValueError("no object with an event")
            except (ValueError, RecursionError) as fault:
                if number == len(lines):
                    break
                raise StoreError(f"journal {self.path}, line {number}: expected a JSON object, got {fault}") from fault
            events.append(event)
            length += len(line) + 1
        return events, length
