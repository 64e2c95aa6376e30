"""Run folders of trials, as ``nasengine nni`` begins them."""

import gzip
import random
from pathlib import Path
from typing import Any

from nasengine.assembly import assemble
from nasengine.evaluation.table import read_table
from nasengine.pipeline import Search, SearchSettings
from nasengine.report.progress import LineProgress
from nasengine.store import RunStore
from search_spaces.nasbench201 import NASBENCH201


def write_table(path: Path, num_missing: int = 0) -> Path:
    """A table of all architectures in which accuracy grows with the number of 3x3 convolutions; some may be missing."""
    rng = random.Random(0)
    names = [NASBENCH201.format(found) for found in NASBENCH201.enumerate()]
    for _ in range(num_missing):
        names.pop(rng.randrange(1, len(names)))
    rows = [f"{name},{10 + 10 * name.count('3x3~') + rng.random():.4f}" for name in names]
    path.write_bytes(gzip.compress("\n".join(["arch,accuracy", *rows, ""]).encode()))
    return path


def settings_of_trials(table: Path | None = None, strategy: str = "random", seed: int = 0, **trials: Any):
    """Settings of a run on the digits, with the least budget."""
    if table is not None:
        found = read_table(table, NASBENCH201)
        trials |= {"table": str(table), "column": found.column, "table_sha256": found.sha256}
    content = {
        "space": "nasbench201", "data": "digits", "budget": "quick", "seed": seed, "splits": 0, "training": "none",
        "selection": "trials", "strategy": strategy, "trials": {"count": 12, **trials},
    }  # fmt: skip
    return SearchSettings.read(content, "test")


def begun(folder: Path, settings: SearchSettings) -> Search:
    """Make the folder of a run, ready for its trials."""
    search = assemble(settings, LineProgress())
    store = RunStore.create(folder, settings.model_dump(mode="json"))
    search.record_inputs(store)
    store.close()
    return search
