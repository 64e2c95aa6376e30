"""How good the networks are that searches find under a cap of latency, and how good their trade-offs."""

import random
import statistics
import time
from collections.abc import Iterator

import numpy

from benchmarks.constrained_methods import ACCURACY, FOR_TRADE_OFFS, LATENCY, REFERENCE, UNDER_A_CAP, Method
from benchmarks.device_tables import DeviceTable
from benchmarks.results import ResultsFile, Row, machine
from nasengine.errors import ConfigError
from nasengine.protocols import Evaluation, Strategy
from nasengine.strategies import NO_LIMITS, Constraint, Constraints, hypervolume
from nasengine.strategies.objectives import point_of

BUDGETS = (50, 100)
"""Evaluations after which the answer is noted; each measures accuracy and latency."""
CLOSE = 0.3
"""Accuracy points from the best under the cap that count as having found it."""
KEY = ("benchmark", "device", "cap_ms", "method", "seed")


def run(
    table: DeviceTable, results: ResultsFile, *, caps: list[float], methods: list[str], seeds: list[int]
) -> Iterator[Row]:
    """A row for each cap, method and seed, then one for each method for trade-offs and seed.

    Args:
        table: accuracies and latencies.
        results: finished rows are appended to it; those of the file are not run again.
        caps: milliseconds.
        methods: names of ``UNDER_A_CAP`` and ``FOR_TRADE_OFFS``.
        seeds: of the searches.

    Raises:
        ConfigError: an unknown method, or a cap that nothing keeps.
    """
    known = dict.fromkeys([*UNDER_A_CAP, *FOR_TRADE_OFFS])
    unknown = [name for name in methods if name not in known]
    if unknown:
        raise ConfigError(f"--methods: expected some of {', '.join(known)}, got {', '.join(unknown)}")
    for cap in caps:
        table.best_under(cap)
    for cap_or_none in (*caps, None):
        for method in [name for name in methods if name in (FOR_TRADE_OFFS if cap_or_none is None else UNDER_A_CAP)]:
            for seed in seeds:
                yield _finished(table, results, cap_or_none, method, seed)


def _finished(table: DeviceTable, results: ResultsFile, cap_ms: float | None, method: str, seed: int) -> Row:
    name = "constrained" if cap_ms is not None else "trade-offs"
    key = {"benchmark": name, "device": table.device, "cap_ms": cap_ms, "method": method, "seed": seed}
    row = results.find(**key)
    if row is None:
        begin = time.perf_counter()
        found = _trade_offs(table, method, seed) if cap_ms is None else _under_a_cap(table, cap_ms, method, seed)
        row = {
            **key, "evaluations": list(BUDGETS), **found, "seconds": round(time.perf_counter() - begin, 2),
            "machine": machine(),
        }  # fmt: skip
        results.append(row)
    return row


def _under_a_cap(table: DeviceTable, cap_ms: float, method: str, seed: int) -> Row:
    limits, best = Constraints((Constraint("latency_ms", cap_ms),)), table.best_under(cap_ms)
    strategy, measured = search(table, UNDER_A_CAP[method], limits, seed)
    found = [_best_kept(measured[:budget], limits) for budget in BUDGETS]
    answer = _answer(strategy, measured, limits)
    return {
        "best": best, "found": found, "gap": [None if value is None else best - value for value in found],
        "keeps_cap": answer is None or table.latency_ms[answer.architecture] <= cap_ms,
        "answer": None if answer is None else table.accuracies.space.format(answer.architecture),
        "share_kept": sum(limits.violation(one.metrics) == 0 for one in measured) / len(measured),
    }  # fmt: skip


def _trade_offs(table: DeviceTable, method: str, seed: int) -> Row:
    _, measured = search(table, FOR_TRADE_OFFS[method], NO_LIMITS, seed)
    points = numpy.array([point_of(one.metrics, (ACCURACY, LATENCY)) for one in measured])
    reference = point_of(REFERENCE, (ACCURACY, LATENCY))
    whole = hypervolume(table.points, reference)
    return {
        "reference": dict(REFERENCE),
        "hypervolume": [hypervolume(points[:budget], reference) / whole for budget in BUDGETS],
    }


def search(table: DeviceTable, method: Method, limits: Constraints, seed: int) -> tuple[Strategy, list[Evaluation]]:
    """One search; what it measured, in order."""
    strategy, measured = method(table, limits, random.Random(seed)), []
    for _ in range(BUDGETS[-1]):
        (architecture,) = strategy.ask(1)
        measured.append(table.evaluate(architecture))
        strategy.tell(measured[-1:])
    return strategy, measured


def _best_kept(measured: list[Evaluation], limits: Constraints) -> float | None:
    """The largest accuracy in percent of what keeps the limits; None where nothing does."""
    kept = [100 * one.metrics["accuracy"] for one in measured if limits.violation(one.metrics) == 0]
    return round(max(kept), 6) if kept else None


def _answer(strategy: Strategy, measured: list[Evaluation], limits: Constraints) -> Evaluation | None:
    """What the strategy itself answers; those that know no limits answer the best that keeps them."""
    best = getattr(strategy, "best", None)
    if best is not None:
        return best()
    kept = [one for one in measured if limits.violation(one.metrics) == 0]
    return max(kept, key=lambda one: one.metrics["accuracy"], default=None)


def summary(rows: list[Row]) -> list[Row]:
    """Mean and standard error over the seeds of each cap and method."""
    groups: dict[tuple[float | None, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["cap_ms"], row["method"]), []).append(row)
    return [_summed_up(own) for own in groups.values()]


def _summed_up(own: list[Row]) -> Row:
    first, last = own[0], len(BUDGETS) - 1
    shared = {name: first[name] for name in ("benchmark", "device", "cap_ms", "method", "evaluations", "machine")}
    shared |= {"seeds": [row["seed"] for row in own], "seconds": round(sum(row["seconds"] for row in own), 1)}
    if first["cap_ms"] is None:
        return {**shared, "reference": first["reference"], **_mean_and_error(own, "hypervolume")}
    gaps = [row["gap"][last] for row in own]
    return {
        **shared, "best": first["best"], **_mean_and_error(own, "found"), **_mean_and_error(own, "gap"),
        "largest_gap": None if None in gaps else max(gaps),
        "share_close": [
            statistics.fmean(row["gap"][place] is not None and row["gap"][place] <= CLOSE + 1e-9 for row in own)
            for place in range(len(BUDGETS))
        ],
        "all_keep_cap": all(row["keeps_cap"] for row in own),
    }  # fmt: skip


def _mean_and_error(rows: list[Row], name: str) -> Row:
    """Of each budget; None where a search found nothing."""
    columns = list(zip(*(row[name] for row in rows), strict=True))
    is_known = [None not in column for column in columns]
    means = [statistics.fmean(column) if known else None for column, known in zip(columns, is_known, strict=True)]
    errors = [_standard_error(list(column)) if known else None for column, known in zip(columns, is_known, strict=True)]
    return {name: [_rounded(value) for value in means], f"{name}_error": [_rounded(value) for value in errors]}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def _standard_error(values: list[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
