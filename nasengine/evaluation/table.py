"""Accuracies of architectures that others have trained: a CSV file, looked up instead of training."""

import csv
import gzip
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

from nasengine.errors import ConfigError, GenotypeError
from nasengine.protocols import SearchSpace

GENOTYPES = "arch"
MAX_BYTES, MAX_ROWS = 50_000_000, 1_000_000
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class AccuracyTable:
    """One column of a table.

    Args:
        path: the file.
        column: name of the column.
        accuracies: fractions by genotype, as the space prints it.
        sha256: of the file.
    """

    path: Path
    column: str
    accuracies: dict[str, float]
    sha256: str

    def accuracy_of(self, genotype: str) -> float:
        """Of one architecture.

        Raises:
            ConfigError: the table does not have it.
        """
        if genotype not in self.accuracies:
            raise ConfigError(f"table {self.path}: expected a row for {genotype}, got none")
        return self.accuracies[genotype]


def read_table(path: Path, space: SearchSpace, column: str | None = None) -> AccuracyTable:
    """Read a table of accuracies, as fractions or, where any is above 1, in percent.

    Args:
        path: a CSV file, may be gzipped; the column ``arch`` holds genotypes.
        space: that the genotypes are of.
        column: of accuracies; by default the first whose name ends with ``test_200ep``, or else the one after ``arch``.

    Raises:
        ConfigError: the file is missing, too large, damaged, of another space, or lacks a column.
    """
    content = _content(path)
    try:
        text = (gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content).decode()
        reader = csv.DictReader(text.splitlines())
        names = list(reader.fieldnames or [])
        rows = list(reader)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as fault:
        raise ConfigError(f"table {path}: expected CSV, gzipped or not, got {fault}") from fault
    if GENOTYPES not in names or len(names) < 2 or not rows or len(rows) > MAX_ROWS:
        raise ConfigError(
            f"table {path}: expected a column {GENOTYPES} with genotypes, another with accuracies and 1 to {MAX_ROWS} "
            f"rows, got columns {', '.join(names) or 'none'} and {len(rows)} rows"
        )
    chosen = column or _usual(names)
    if chosen not in names:
        raise ConfigError(f"table {path}: expected one of the columns {', '.join(names)}, got {chosen!r}")
    _check_space(path, rows[0][GENOTYPES], space)
    values = {row[GENOTYPES]: _number(path, chosen, row[chosen]) for row in rows}
    scale = 100.0 if max(values.values()) > 1 else 1.0
    if max(values.values()) > scale:
        raise ConfigError(f"table {path}: expected accuracies in {chosen}, got {max(values.values())}")
    accuracies = {genotype: value / scale for genotype, value in values.items()}
    return AccuracyTable(path, chosen, accuracies, hashlib.sha256(content).hexdigest())


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"table {path}: expected at most {MAX_BYTES} bytes, got {path.stat().st_size}")
        return path.read_bytes()
    except OSError as fault:
        raise ConfigError(f"table {path}: expected a CSV file, got {fault.strerror}") from fault


def _usual(names: list[str]) -> str:
    others = [name for name in names if name != GENOTYPES]
    full = [name for name in others if name.endswith("test_200ep")]
    after = names[names.index(GENOTYPES) + 1 :]
    return (full or after or others)[0]


def _check_space(path: Path, genotype: str | None, space: SearchSpace) -> None:
    """The first row tells whether a table is of the space."""
    try:
        space.parse(genotype or "")
    except GenotypeError as fault:
        raise ConfigError(f"table {path}: expected genotypes of {space.name}, got {genotype!r}") from fault


def _number(path: Path, column: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise ConfigError(f"table {path}: expected accuracies in {column}, got {text!r}")
    return value
