"""How far the best architecture that a strategy has found is from the best of the table."""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.results import ResultsFile, Row, machine
from benchmarks.search_tables import FILES, SearchTable
from benchmarks.strategy_methods import METHODS, SEEN_BY_THE_SHIPPED_PREDICTOR, Method
from nasengine.errors import ConfigError

BUDGETS = (50, 100, 150, 200)
"""Evaluations after which the best so far is noted."""
KEY = ("benchmark", "space", "method", "seed")


def run(folder: Path, results: ResultsFile, *, spaces: list[str], methods: list[str], seeds: range) -> Iterator[Row]:
    """A row for each space, method and seed; those of the results file come from there.

    Args:
        folder: where the tables are.
        results: finished rows are appended to it.
        spaces: names of ``FILES``.
        methods: names of ``METHODS``.
        seeds: of the searches.

    Raises:
        ConfigError: an unknown space or method, or a table that cannot be read.
    """
    for option, names, known in (("--spaces", spaces, FILES), ("--methods", methods, METHODS)):
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigError(f"{option}: expected some of {', '.join(known)}, got {', '.join(unknown)}")
    for space in spaces:
        table = SearchTable.read(folder, space)
        for method in methods:
            if (space, method) in SEEN_BY_THE_SHIPPED_PREDICTOR:
                continue
            for seed in seeds:
                row = results.find(benchmark="strategy", space=space, method=method, seed=seed)
                if row is None:
                    row = _row(table, method, seed)
                    results.append(row)
                yield row


def _row(table: SearchTable, method: str, seed: int) -> Row:
    begin = time.perf_counter()
    found = search(table, METHODS[method], seed)
    return {
        "benchmark": "strategy", "space": table.space.name, "method": method, "seed": seed,
        "column": FILES[table.space.name][1], "evaluations": list(BUDGETS), "found": found,
        "regret": [table.best - value for value in found], "seconds": round(time.perf_counter() - begin, 2),
        "machine": machine(),
    }  # fmt: skip


def search(table: SearchTable, method: Method, seed: int) -> list[float]:
    """The best accuracy, in percent, that one search has found after each of the budgets."""
    strategy = method(table, random.Random(seed))
    best, found = 0.0, []
    for number in range(1, BUDGETS[-1] + 1):
        (architecture,) = strategy.ask(1)
        best = max(best, table.accuracy[architecture])
        strategy.tell([table.evaluate(architecture)])
        if number in BUDGETS:
            found.append(best)
    return found


def summary(rows: list[Row]) -> list[Row]:
    """Mean and standard error over the seeds of each space and method."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["space"], row["method"]), []).append(row)
    return [
        {
            "benchmark": "strategy", "space": space, "method": method, "column": own[0]["column"],
            "seeds": [row["seed"] for row in own], "evaluations": own[0]["evaluations"],
            "regret": _columns(own, "regret", statistics.fmean),
            "regret_standard_error": _columns(own, "regret", _standard_error),
            "mean_found": _columns(own, "found", statistics.fmean),
            "seconds": round(sum(row["seconds"] for row in own), 1), "machine": own[0]["machine"],
        }
        for (space, method), own in groups.items()
    ]  # fmt: skip


def _columns(rows: list[Row], name: str, reduce: Callable[[list[float]], float]) -> list[float]:
    return [round(reduce(list(column)), 5) for column in zip(*(row[name] for row in rows), strict=True)]


def _standard_error(values: list[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
