"""What workers save: seconds from the trained supernet to the last selection in a leaf, and whether runs end alike."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.results import Row, machine
from nasengine.assembly import assemble
from nasengine.distribution import make_workers
from nasengine.pipeline import SearchSettings
from nasengine.store import RunStore
from nasengine.store.journal import Event


class Silent:
    """Progress that nobody looks at."""

    def begin(self, task: str, num_steps: int, done: int) -> None:
        """Nothing."""

    def advance(self, task: str, step: int, metrics: Any) -> None:
        """Nothing."""


def run(settings: SearchSettings, workers: list[str]) -> Iterator[Row]:
    """A row for the run without workers, and one for each kind of workers; all have the same settings."""
    with tempfile.TemporaryDirectory() as folder:
        serial = None
        for name in [None, *workers]:
            row = _row(settings, name, Path(folder) / str(name).replace(":", "-").replace("/", "-"))
            serial = serial or row
            yield {**row, "speed_up": round(serial["seconds"] / row["seconds"], 2),
                   "same_as_serial": all(row[key] == serial[key] for key in ("winner", "states"))}  # fmt: skip


def _row(settings: SearchSettings, workers: str | None, folder: Path) -> Row:
    progress = Silent()
    search = assemble(settings, progress, workers=make_workers(workers, settings, progress))
    store = RunStore.create(folder, settings.model_dump(mode="json"))
    try:
        search.record_inputs(store)
        winner = search.architecture_search.run(store)
    finally:
        store.close()
    return {
        "benchmark": "workers", "space": settings.space, "data": settings.data, "budget": settings.budget,
        "seed": settings.seed, "threads": settings.threads, "workers": workers or "none",
        "seconds": _seconds_of_leaves(store.events), "winner": search.space.format(winner),
        "states": _states_of_leaves(store.events), "machine": machine(),
    }  # fmt: skip


def _states_of_leaves(events: list[Event]) -> dict[str, str]:
    """Hashes of the last state of each task in a leaf: weights and all."""
    steps = [event for event in events if event["event"] == "step" and event["task"].startswith(("leaf", "selection"))]
    return {event["task"]: event["state"] for event in sorted(steps, key=lambda event: str(event["task"]))}


def _seconds_of_leaves(events: list[Event]) -> float:
    """From the end of the supernet's training to the last step in a leaf."""
    steps = [(event["task"], event["time"]) for event in events if event["event"] == "step"]
    begin = max(time for task, time in steps if task == "supernet")
    end = max(time for task, time in steps if task.startswith(("leaf", "selection")))
    return float(round(end - begin, 2))
