"""Reads a table of networks that were measured on a device."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nasengine.errors import ConfigError, NasEngineError
from nasengine.graph import ComputationGraph
from predictors.results_table import table_number, table_rows


@dataclass(frozen=True, eq=False)
class Measurements:
    """Networks and their latencies, one each; ``nan`` where a network does not run on the device."""

    graphs: list[ComputationGraph]
    milliseconds: list[float]


def read_measurements(
    path: Path, network: str, column: str, to_graph: Callable[[str], ComputationGraph]
) -> Measurements:
    """Read a table; a network may be in it several times, since no two measurements are alike.

    Args:
        path: a .csv or .csv.gz file.
        network: column with genotypes or paths of ONNX files.
        column: milliseconds; a negative number says that the network does not run.
        to_graph: reads what is in the network's column.

    Raises:
        ConfigError: the table is missing, too large, lacks a column, or has a network or number that cannot be read.
    """
    graphs, values = [], []
    for line, row in table_rows(path, (network, column)):
        where = f"table {path}, line {line}"
        try:
            graphs.append(to_graph(row[network] or ""))
        except NasEngineError as fault:
            raise ConfigError(f"{where}, column {network}: {fault}") from fault
        value = table_number(row, column, where)
        if value == 0:
            raise ConfigError(f"{where}, column {column}: expected milliseconds above 0, got 0; remove the line")
        values.append(value if value > 0 else math.nan)
    return Measurements(graphs, values)
