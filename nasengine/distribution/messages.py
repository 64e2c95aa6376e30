"""What travels between a run and its workers: JSON values and files, packed as one safetensors file.

A request holds settings and the events and artifacts that a part begins from; a report holds one event with its
artifact, the beginning of a task, or the end of the part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from nasengine.checkpoint import pack, unpack
from nasengine.errors import WorkerError
from nasengine.pipeline.workers import Part, Work
from nasengine.protocols import TaskState
from nasengine.store import RunStore
from nasengine.store.artifacts import ArtifactStore
from nasengine.store.journal import Event, Journal
from nasengine.store.run_store import ARTIFACTS_NAME, JOURNAL_NAME

RUN, FAMILY = "run", "family"
EVENT, BEGIN, DONE, FAILED = "event", "begin", "done", "failed"
Files = dict[str, bytes]


def message(values: dict[str, Any], files: Files | None = None) -> bytes:
    """Values that JSON can hold, and files by name."""
    tensors = {name: torch.frombuffer(bytearray(content), dtype=torch.uint8) for name, content in (files or {}).items()}
    return pack(TaskState(tensors, values))


def read_message(content: bytes) -> tuple[dict[str, Any], Files]:
    """Values and files of a message.

    Raises:
        StoreError: the bytes are no message.
    """
    state = unpack(content)
    return state.values, {name: tensor.numpy().tobytes() for name, tensor in state.tensors.items()}


def request(work: Work, part: Part) -> bytes:
    """All that a worker needs for a part: its own last states, so that it goes on where another one died."""
    family = work.family is not None
    stores = {FAMILY if family else RUN: (work.store, (*work.needed_tasks, *part.tasks))}
    if work.parent is not None:
        stores[RUN] = (work.parent, ("winner",))
    values: dict[str, Any] = {
        "version": version("nasengine"), "part": asdict(part), "settings": work.settings, "family": work.family,
        "events": {},
    }  # fmt: skip
    files: Files = {}
    for name, (store, tasks) in stores.items():
        values["events"][name] = events = _needed_events(store.events, tasks)
        files |= {f"{name}/{artifact}": store.artifacts.get(artifact) for artifact in _artifacts(events)}
    return message(values, files)


def read_request(content: bytes, folder: Path) -> tuple[dict[str, Any], Part]:
    """Values of a request; its stores are written below a folder.

    Raises:
        WorkerError: it comes from another version of nasengine.
    """
    values, files = read_message(content)
    if values["version"] != version("nasengine"):
        raise WorkerError(
            f"worker: expected a request of nasengine {version('nasengine')}, got one of {values['version']}; "
            "install the same version on every machine"
        )
    for name, events in values["events"].items():
        (folder / name).mkdir(parents=True)
        journal = Journal(folder / name / JOURNAL_NAME)
        for event in events:
            journal.append(event)
    for path, stored in files.items():
        store, _, artifact = path.partition("/")
        ArtifactStore(folder / store / ARTIFACTS_NAME).put(stored, artifact.partition(".")[2])
    part = dict(values["part"])
    return values, Part(**{**part, "tasks": tuple(part["tasks"])})


class ReportingStore(RunStore):
    """A worker's store, which reports every event."""

    report: Any = None

    def record(self, event: str, **content: Any) -> None:
        """Append an event, then report it with its artifact."""
        super().record(event, **content)
        if self.report is not None:
            names = _artifacts(self.events[-1:])
            self.report(message({"kind": EVENT, "event": self.events[-1]}, {n: self.artifacts.get(n) for n in names}))


def record_report(store: RunStore, event: Event, files: Files) -> None:
    """Record an event of a worker in the run's own store."""
    content = {name: value for name, value in event.items() if name not in ("event", "time")}
    if event["event"] == "step":
        del content["state"]
        store.checkpoint(**{**content, "state": files[event["state"]]})
        return
    for name, stored in files.items():
        store.artifacts.put(stored, name.partition(".")[2])
    store.record(event["event"], **content)


def _needed_events(events: Sequence[Event], tasks: Iterable[str]) -> list[Event]:
    """All events but steps, and the last step of each task that is needed."""
    wanted = set(tasks)
    last = {event["task"]: event for event in events if event["event"] == "step" and event["task"] in wanted}
    kept = {id(event) for event in last.values()}
    return [event for event in events if event["event"] != "step" or id(event) in kept]


def _artifacts(events: Sequence[Event]) -> list[str]:
    return [name for event in events for key in ("state", "artifact") if (name := event.get(key)) is not None]
