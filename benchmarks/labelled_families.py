"""The labelled families of the reference tables, as computation graphs."""

import csv
import gzip
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy

from benchmarks.tables import MAX_BYTES
from nasengine import registry
from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph, fingerprint

PROXY_FILE = "nasbench201_proxies.csv.gz"
LABELS = {
    "nasbench201": ("nasbench201.csv.gz", "cifar10_test_200ep"),
    "nasbench_macro": ("nasbench_macro.csv.gz", "cifar10_test_mean"),
    "nasbench101": ("nasbench101_5v.csv.gz", "cifar10_test_4ep"),
}
"""File and column of each family; percent."""


@dataclass(frozen=True, eq=False)
class LabelledFamily:
    """Networks of a table.

    Args:
        name: of the search space.
        texts: genotypes.
        accuracies: fractions, (num_networks,).
        proxies: by name, (num_networks,) each; empty where the table has none.
    """

    name: str
    texts: list[str]
    accuracies: numpy.ndarray
    proxies: dict[str, numpy.ndarray]

    @cached_property
    def graphs(self) -> list[ComputationGraph]:
        """Computation graphs, built once."""
        space = registry.load("search space", self.name)
        return [space.to_graph(space.parse(text), space.defaults) for text in self.texts]

    def rows(self, index: numpy.ndarray) -> "LabelledFamily":
        """Some of the networks; their graphs are not built anew."""
        part = LabelledFamily(
            self.name, [self.texts[row] for row in index], self.accuracies[index],
            {name: column[index] for name, column in self.proxies.items()},
        )  # fmt: skip
        part.__dict__["graphs"] = [self.graphs[row] for row in index]
        return part

    def __len__(self) -> int:
        return len(self.texts)


def read_family(folder: Path, name: str) -> LabelledFamily:
    """A family with all rows of its table.

    Raises:
        ConfigError: the table is missing or not what it should be.
    """
    file, column = LABELS[name]
    rows = read_rows(folder / file)
    text = _text_of_matrix if name == "nasbench101" else lambda row: row["arch"]
    try:
        return LabelledFamily(name, [text(row) for row in rows], _column(rows, column) / 100, {})
    except (KeyError, ValueError, TypeError) as fault:
        raise ConfigError(f"table {folder / file}: expected genotypes and a column {column}, got {fault!r}") from fault


def unique_cells(folder: Path) -> LabelledFamily:
    """The 9,445 cells of NAS-Bench-201 that are no isomorphs, with their proxies."""
    accuracy = {
        row["arch"]: float(row[LABELS["nasbench201"][1]]) for row in read_rows(folder / LABELS["nasbench201"][0])
    }
    rows = read_rows(folder / PROXY_FILE)
    proxies = {name: _column(rows, name) for name in rows[0] if name != "arch"}
    texts = [row["arch"] for row in rows]
    return LabelledFamily("nasbench201", texts, numpy.array([accuracy[text] for text in texts]) / 100, proxies)


def none_free_cells(folder: Path, unique: LabelledFamily) -> LabelledFamily:
    """GENNAPE's 4,096 cells of NAS-Bench-201 without ``none``; the proxies of a cell are those of its isomorph."""
    every = read_family(folder, "nasbench201")
    family = every.rows(numpy.array([row for row, text in enumerate(every.texts) if "none" not in text]))
    place = {fingerprint(graph): row for row, graph in enumerate(unique.graphs)}
    index = numpy.array([place[fingerprint(graph)] for graph in family.graphs])
    family.proxies.update({name: column[index] for name, column in unique.proxies.items()})
    return family


def read_rows(path: Path) -> list[dict[str, str]]:
    """All rows of a compressed table.

    Raises:
        ConfigError: it is missing, too large or no such table.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"table {path}: expected at most {MAX_BYTES} bytes, got {path.stat().st_size}")
        with gzip.open(path, "rt", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as fault:
        raise ConfigError(f"table {path}: expected a compressed table, got {fault}") from fault
    if not rows:
        raise ConfigError(f"table {path}: expected rows, got none")
    return rows


def _column(rows: list[dict[str, str]], name: str) -> numpy.ndarray:
    return numpy.array([float(row[name]) for row in rows])


def _text_of_matrix(row: dict[str, str]) -> str:
    from search_spaces.nasbench101 import NASBENCH101, VertexCell

    cell = VertexCell.of_matrix(json.loads(row["matrix"]), json.loads(row["ops"]))
    return NASBENCH101.format(Architecture(NASBENCH101.name, cell))
