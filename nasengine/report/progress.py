"""Progress on stderr: live bars with the time left on a terminal, plain lines otherwise."""

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

SECONDS_BETWEEN_LINES = 5.0
SHOWN = ("loss", "train_accuracy", "accuracy", "test_accuracy", "max_deviation")


@runtime_checkable
class RunProgress(Protocol):
    """Progress of a run, with a beginning and an end."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def begin(self, task: str, num_steps: int, done: int) -> None: ...
    def advance(self, task: str, step: int, metrics: Mapping[str, Any]) -> None: ...


def make_progress() -> RunProgress:
    """Bars where stderr is a terminal, lines elsewhere."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()


class BarProgress:
    """One bar for each task, with the time that is left."""

    def __init__(self) -> None:
        self._bars = Bars(
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
        )
        self._ids: dict[str, TaskID] = {}

    def start(self) -> None:
        """Show the bars."""
        self._bars.start()

    def stop(self) -> None:
        """Leave them as they are."""
        self._bars.stop()

    def begin(self, task: str, num_steps: int, done: int) -> None:
        """A task with ``done`` of its steps done; one that was shown before keeps its bar."""
        if task in self._ids:
            self._bars.update(self._ids[task], total=num_steps, completed=done)
        else:
            self._ids[task] = self._bars.add_task(task, total=num_steps, completed=done, note="")

    def advance(self, task: str, step: int, metrics: Mapping[str, Any]) -> None:
        """One more step."""
        self._bars.update(self._ids[task], completed=step + 1, note=summary_of(metrics))


class LineProgress:
    """A line when a task begins and ends, and at most one every few seconds in between."""

    def __init__(self) -> None:
        self._totals: dict[str, int] = {}
        self._began: dict[str, tuple[float, int]] = {}
        self._last = 0.0

    def start(self) -> None:
        """Nothing to prepare."""

    def stop(self) -> None:
        """Nothing to put away."""

    def begin(self, task: str, num_steps: int, done: int) -> None:
        """A task with ``done`` of its steps done; of one that ended before, nothing is written."""
        was_here = task in self._totals
        self._totals[task], self._began[task] = num_steps, (time.monotonic(), done)
        if done > 0 and not (was_here and done == num_steps):
            self._write(f"{task}: {done} of {num_steps} done already")

    def advance(self, task: str, step: int, metrics: Mapping[str, Any]) -> None:
        """One more step."""
        total, (began, first) = self._totals[task], self._began[task]
        now, done = time.monotonic(), step + 1
        if done < total and now - self._last < SECONDS_BETWEEN_LINES:
            return
        left = (now - began) / (done - first) * (total - done)
        self._write(f"{task}: {done}/{total}, {now - began:.0f} s, {left:.0f} s left {summary_of(metrics)}".rstrip())
        self._last = now

    def _write(self, line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def summary_of(metrics: Mapping[str, Any]) -> str:
    """The few figures that fit beside a bar.

    >>> summary_of({"loss": 0.51234, "other": 1})
    'loss 0.512'
    """
    values = {**metrics, **metrics.get("result", {})}
    texts = [f"{name.replace('_', ' ')} {values[name]:.3g}" for name in SHOWN if name in values]
    for decision in metrics.get("decisions", []):
        kept = decision["kept"]
        texts.append(f"{decision['kind']} {decision.get('edge', decision.get('node'))}: {kept}")
    return ", ".join(texts)
