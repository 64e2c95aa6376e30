"""Published tables of accuracies; read from a path that the user gives, never shipped."""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

from nasengine.errors import ConfigError

COLUMNS = {"nasbench201": "cifar10_test_200ep", "nasbench_macro": "cifar10_test_mean"}
"""The spaces that have tables, and the column of accuracies of each."""
INFORMATION = ("cifar100_test_12ep", "imagenet16_120_test_12ep")
MAX_BYTES, MAX_ROWS = 50_000_000, 1_000_000


@dataclass(frozen=True)
class Table:
    """Rows of a table by architecture.

    Args:
        accuracy: CIFAR-10 test accuracy after the benchmark's full training, percent, by genotype.
        information: columns that decide nothing, by genotype.
    """

    accuracy: dict[str, float]
    information: dict[str, dict[str, float]]

    def rank(self, genotype: str) -> int:
        """1 for the best of the table; equal accuracies share the better rank."""
        return 1 + sum(value > self.accuracy[genotype] for value in self.accuracy.values())


def read_table(path: Path, space: str = "nasbench201") -> Table:
    """Read ``SPACE.csv.gz``.

    Raises:
        ConfigError: the file is missing, too large or lacks a column, or the space has no table.
    """
    if space not in COLUMNS:
        raise ConfigError(f"--space: expected {' or '.join(COLUMNS)}, which have tables, got {space!r}")
    rows = _read(path, f"{space}.csv.gz")
    accuracy = _accuracies(path, rows, COLUMNS[space])
    return Table(accuracy, {row["arch"]: _information(path, row) for row in rows})


def read_accuracies(path: Path, column: str) -> dict[str, float]:
    """Read one column of a table, by genotype.

    Raises:
        ConfigError: the file is missing, too large or lacks the column.
    """
    return _accuracies(path, _read(path, path.name), column)


def _read(path: Path, expected: str) -> list[dict[str, str]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"table {path}: expected at most {MAX_BYTES} bytes, got {path.stat().st_size}")
        with gzip.open(path, "rt", newline="") as file:
            rows = []
            for row in csv.DictReader(file):
                rows.append(row)
                if len(rows) > MAX_ROWS:
                    raise ConfigError(f"table {path}: expected at most {MAX_ROWS} rows, got more")
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as fault:
        raise ConfigError(f"table {path}: expected {expected}, got {fault}") from fault
    return rows


def _accuracies(path: Path, rows: list[dict[str, str]], column: str) -> dict[str, float]:
    try:
        accuracy = {row["arch"]: float(row[column]) for row in rows}
    except (KeyError, TypeError, ValueError) as fault:
        raise ConfigError(f"table {path}: expected columns arch and {column} with numbers, got {fault!r}") from fault
    if not accuracy:
        raise ConfigError(f"table {path}: expected rows, got none")
    return accuracy


def _information(path: Path, row: dict[str, str]) -> dict[str, float]:
    try:
        return {name: float(row[name]) for name in INFORMATION if row.get(name)}
    except ValueError as fault:
        raise ConfigError(f"table {path}: expected numbers in {', '.join(INFORMATION)}, got {fault!r}") from fault
