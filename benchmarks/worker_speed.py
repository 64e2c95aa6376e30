"""What workers save in the leaves and in the race of finalists, and whether runs end alike.

Leaves take from the trained supernet to the last selection in a leaf, the start of the workers included; the race takes
from its beginning to its last round.
"""

import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.results import Row, machine
from nasengine.assembly import assemble
from nasengine.distribution import make_workers
from nasengine.pipeline import SearchSettings
from nasengine.store import RunStore
from nasengine.store.journal import Event

LEAVES = ("leaf", "selection")


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
                   "race_speed_up": round(serial["race_seconds"] / max(row["race_seconds"], 0.01), 2),
                   "same_as_serial": all(row[key] == serial[key] for key in ("winner", "states"))}  # fmt: skip


def _row(settings: SearchSettings, workers: str | None, folder: Path) -> Row:
    progress = Silent()
    search = assemble(settings, progress, workers=make_workers(workers, settings, progress))
    store = RunStore.create(folder, settings.model_dump(mode="json"))
    try:
        search.record_inputs(store)
        with nullcontext() if search.workers is None else search.workers.kept():
            winner = search.architecture_search.run(store)
    finally:
        store.close()
    leaves, race = _seconds(store.events)
    return {
        "benchmark": "workers", "space": settings.space, "data": settings.data, "budget": settings.budget,
        "training": settings.training, "predictor": settings.predictor, "seed": settings.seed,
        "threads": settings.threads, "workers": workers or "none", "seconds": leaves, "race_seconds": race,
        "finalists": len((store.last("finalists") or {"genotypes": []})["genotypes"]),
        "winner": search.space.format(winner), "states": _states(store.events), "machine": machine(),
    }  # fmt: skip


def _states(events: list[Event]) -> dict[str, str]:
    """Hashes of the last state of each task in a leaf and of each finalist: weights and all."""
    steps = [event for event in events if event["event"] == "step" and event["task"].startswith((*LEAVES, "finalist"))]
    return {event["task"]: event["state"] for event in sorted(steps, key=lambda event: str(event["task"]))}


def _seconds(events: list[Event]) -> tuple[float, float]:
    """From the end of the supernet's training to the last step in a leaf, and of the race; 0 where there was none."""
    steps = [(event["task"], event["time"]) for event in events if event["event"] == "step"]
    begin = max(time for task, time in steps if task == "supernet")
    end = max(time for task, time in steps if task.startswith(LEAVES))
    race = [event["time"] for event in events if event["event"] in ("finalists", "round")]
    return float(round(end - begin, 2)), float(round(max(race) - min(race), 2)) if race else 0.0
