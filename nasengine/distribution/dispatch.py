"""Gives parts to workers, one each at a time, and records what they report, as the only one who writes."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from nasengine.distribution.messages import BEGIN, DONE, EVENT, FAILED, Files, read_message, record_report, request
from nasengine.errors import WorkerError
from nasengine.pipeline.task import Progress
from nasengine.pipeline.workers import Part, Work

MAX_ATTEMPTS = 3
PART = "part"
"""The event that says that a part is done."""


class WorkerDiedError(Exception):
    """A worker is gone; the part is given to another one."""


class Worker(Protocol):
    """One process somewhere. ``next`` raises WorkerDiedError."""

    def begin(self, content: bytes) -> None: ...
    def next(self) -> bytes: ...
    def close(self) -> None: ...


Report = tuple[int, Part, dict[str, Any], Files]


class Dispatcher:
    """Implements the Workers protocol.

    A part whose worker dies is given to another one, which goes on after the last step that was reported.

    Args:
        start: makes the worker of a number.
        count: of workers.
        progress: is told about every step.
    """

    def __init__(self, start: Callable[[int], Worker], count: int, progress: Progress) -> None:
        self.start, self.count, self.progress = start, count, progress
        self.workers: dict[int, Worker] = {}
        self._depth = 0

    def do(self, work: Work) -> None:
        """Do all parts that are not done yet.

        Raises:
            WorkerError: a part failed, or its worker died MAX_ATTEMPTS times.
        """
        known = {(event["kind"], event["name"]) for event in work.store.find(PART)}
        parts = [part for part in work.parts if (part.kind, part.name) not in known]
        if parts:
            with self.kept():
                _Round(self, work, parts).run()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Workers that are started in the block live until its end."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self.close()

    def close(self) -> None:
        """End all workers, whatever they do."""
        for worker in list(self.workers.values()):
            worker.close()
        self.workers.clear()


class _Round:
    """One call of ``do``: a thread for each worker, which waits for it; records are written by the caller's thread."""

    def __init__(self, dispatcher: Dispatcher, work: Work, parts: Sequence[Part]) -> None:
        self.dispatcher, self.work = dispatcher, work
        self.waiting = list(parts)[::-1]
        self.left = len(parts)
        self.deaths: dict[Part, int] = {}
        self.reports: queue.Queue[Report] = queue.Queue()
        count = min(dispatcher.count, len(parts))
        self.inboxes: list[queue.Queue[tuple[Part, bytes] | None]] = [queue.Queue() for _ in range(count)]
        self.workers = dispatcher.workers

    def run(self) -> None:
        threads = [threading.Thread(target=self._serve, args=(slot,), daemon=True) for slot in range(len(self.inboxes))]
        for slot, thread in enumerate(threads):
            thread.start()
            self._give(slot)
        try:
            while self.left:
                self._take(self._next_report())
        except BaseException:
            self.dispatcher.close()  # threads wait for their reports
            raise
        finally:
            for inbox in self.inboxes:
                inbox.put(None)
            for thread in threads:
                thread.join()

    def _next_report(self) -> Report:
        while True:  # a wait without a limit could not be interrupted
            try:
                return self.reports.get(timeout=0.5)
            except queue.Empty:
                continue

    # --- in the caller's thread -------------------------------------------------------------------------------------

    def _give(self, slot: int) -> None:
        if self.waiting:
            part = self.waiting.pop()
            self.inboxes[slot].put((part, request(self.work, part)))

    def _take(self, report: Report) -> None:
        slot, part, values, files = report
        store, progress = self.work.store, self.dispatcher.progress
        if values["kind"] == BEGIN:
            progress.begin(values["task"], values["num_steps"], values["done"])
        elif values["kind"] == EVENT:
            event = values["event"]
            record_report(store, event, files)
            if event["event"] == "step":
                progress.advance(event["task"], event["step"], event["metrics"])
        elif values["kind"] == DONE:
            store.record(PART, kind=part.kind, name=part.name)
            self.left -= 1
            self._give(slot)
        else:
            self._end(slot, part, values)

    def _end(self, slot: int, part: Part, values: dict[str, Any]) -> None:
        if values["kind"] == FAILED:
            raise WorkerError(f"{part.kind} {part.name}: {values['reason']}")
        self.deaths[part] = self.deaths.get(part, 0) + 1
        if self.deaths[part] == MAX_ATTEMPTS:
            raise WorkerError(
                f"{part.kind} {part.name}: expected a worker to finish it, got {MAX_ATTEMPTS} that died "
                f"({values['reason']}); see that memory suffices, or use fewer workers"
            )
        self.waiting.append(part)
        self._give(slot)

    # --- in the threads ---------------------------------------------------------------------------------------------

    def _serve(self, slot: int) -> None:
        while (given := self.inboxes[slot].get()) is not None:
            part, content = given
            try:
                if slot not in self.workers:
                    self.workers[slot] = self.dispatcher.start(slot)
                self._follow(slot, part, content)
            except WorkerDiedError as fault:
                if (worker := self.workers.pop(slot, None)) is not None:
                    worker.close()
                self.reports.put((slot, part, {"kind": "died", "reason": str(fault)}, {}))
            except Exception as fault:  # noqa: BLE001 (the caller waits for a report, whatever happens here)
                self.reports.put((slot, part, {"kind": FAILED, "reason": f"{type(fault).__name__}: {fault}"}, {}))

    def _follow(self, slot: int, part: Part, content: bytes) -> None:
        worker = self.workers[slot]
        worker.begin(content)
        kind = None
        while kind not in (DONE, FAILED):
            values, files = read_message(worker.next())
            kind = values["kind"]
            self.reports.put((slot, part, values, files))
