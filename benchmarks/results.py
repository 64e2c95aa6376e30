"""Rows of a benchmark: each says what was run, on what machine, and what came out."""

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasengine.errors import ConfigError

if TYPE_CHECKING:
    from nasengine.data import ImageDataset

Row = dict[str, Any]


class ResultsFile:
    """Finished rows, one JSON object a line; rows that are there already are not run again.

    Args:
        path: made where it is missing; None keeps rows in memory only.
        key: the entries that make a row the same run.
    """

    def __init__(self, path: Path | None, key: Iterable[str]) -> None:
        self.path, self.key = path, tuple(key)
        self.rows: list[Row] = [] if path is None or not path.is_file() else _read(path)

    def find(self, **content: Any) -> Row | None:
        """The row of a run, or None."""
        wanted = {name: content[name] for name in self.key}
        return next((row for row in self.rows if all(row.get(name) == value for name, value in wanted.items())), None)

    def append(self, row: Row) -> None:
        """Keep a row; a line is written whole."""
        self.rows.append(row)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a") as file:
                file.write(json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())


def _read(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise ConfigError(f"results file {path}, line {number}: expected a JSON object, got {line[:60]!r}")
        rows.append(row)
    return rows


def data_name(dataset: "ImageDataset") -> str:
    """Name of the images, without where they lie on this machine."""
    return Path(dataset.name).name


def machine() -> str:
    """Processor, cores and versions, in words."""
    import torch

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    parts = [name, f"{os.cpu_count()} cores", f"torch {torch.__version__}"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)


def mean_and_spread(values: list[float]) -> str:
    """Mean, standard deviation and smallest value.

    >>> mean_and_spread([1.0, 2.0, 3.0])
    '2.00 +- 1.00 (min 1.00, n=3)'
    """
    import statistics

    spread = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.2f} +- {spread:.2f} (min {min(values):.2f}, n={len(values)})"
