"""Reads a user's own results: networks and what was measured of them, from a table."""

import csv
import gzip
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy

from nasengine.errors import ConfigError, NasEngineError
from nasengine.graph import ComputationGraph, fingerprint

MAX_BYTES, MAX_ROWS = 200_000_000, 1_000_000


@dataclass(frozen=True, eq=False)
class ResultsTable:
    """Networks of a table.

    Args:
        graphs: the networks.
        labels: what was measured, (num_networks,).
        proxies: by name, (num_networks,) each.
    """

    graphs: list[ComputationGraph]
    labels: numpy.ndarray
    proxies: dict[str, numpy.ndarray]


@dataclass(frozen=True)
class Columns:
    """Names of columns.

    Args:
        network: a genotype, or the path of an ONNX file, from the table's folder; two columns with + between them are
            read with a space between their texts.
        label: accuracy, or anything of which more is better.
        proxies: of zero-cost proxies.
    """

    network: str = "arch"
    label: str = "accuracy"
    proxies: tuple[str, ...] = ()


def read_results(path: Path, columns: Columns, to_graph: Callable[[str], ComputationGraph]) -> ResultsTable:
    """Read a table, csv or csv.gz; equal networks with equal labels count once.

    Args:
        path: the file.
        columns: which columns count.
        to_graph: reads what is in the network's column.

    Raises:
        ConfigError: the table is missing, too large, lacks a column, has a network or number that cannot be read, or
            two labels for one network.
    """
    parts = columns.network.split("+")
    rows = table_rows(path, (*parts, columns.label, *columns.proxies))
    graphs: list[ComputationGraph] = []
    labels: list[float] = []
    proxies: list[list[float]] = []
    place_by_network: dict[str, int] = {}
    lines: list[int] = []
    for line, row in rows:
        where = f"table {path}, line {line}"
        try:
            graph = to_graph(" ".join(row[part] or "" for part in parts))
        except NasEngineError as fault:
            raise ConfigError(f"{where}, column {columns.network}: {fault}") from fault
        label = table_number(row, columns.label, where)
        values = [table_number(row, name, where) for name in columns.proxies]
        earlier = place_by_network.setdefault(fingerprint(graph), len(graphs))
        if earlier == len(graphs):
            graphs.append(graph)
            labels.append(label)
            proxies.append(values)
            lines.append(line)
        elif labels[earlier] != label:
            raise ConfigError(
                f"{where}: expected one label for each network, got {label} for a network that has {labels[earlier]} "
                f"in line {lines[earlier]}; keep one of them, or their mean"
            )
    columns_of_proxies = numpy.array(proxies).reshape(len(graphs), len(columns.proxies)).T
    return ResultsTable(graphs, numpy.array(labels), dict(zip(columns.proxies, columns_of_proxies, strict=True)))


def table_rows(path: Path, needed: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a table with their line numbers.

    Raises:
        ConfigError: the table is missing, too large, lacks a column or has no rows.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"table {path}: expected at most {MAX_BYTES} bytes, got {path.stat().st_size}")
        compressed = path.name.endswith(".gz")
        with (
            gzip.open(path, "rt", newline="", encoding="utf-8-sig")
            if compressed
            else open(path, newline="", encoding="utf-8-sig") as file
        ):
            reader = csv.DictReader(file)
            missing = [name for name in needed if name not in (reader.fieldnames or ())]
            if missing:
                raise ConfigError(
                    f"table {path}: expected columns {', '.join(needed)}, got "
                    f"{', '.join((reader.fieldnames or ())[:20]) or 'none'}; name yours with options"
                )
            rows = []
            for row in reader:
                rows.append((reader.line_num, row))
                if len(rows) > MAX_ROWS:
                    raise ConfigError(f"table {path}: expected at most {MAX_ROWS} rows, got more")
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as fault:
        raise ConfigError(f"table {path}: expected a table of comma-separated values, got {fault}") from fault
    if not rows:
        raise ConfigError(f"table {path}: expected rows, got none")
    return rows


def table_number(row: dict[str, str], name: str, where: str) -> float:
    """A finite number in a column.

    Raises:
        ConfigError: there is none.
    """
    text = row.get(name) or ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{where}, column {name}: expected a finite number, got {text[:40]!r}; remove the line")
    return value
