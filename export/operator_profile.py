"""Measures the units of search spaces on this machine and writes them into an operator table, a batch at a time.

What is in the table already is not measured again, so that an interrupted profile goes on and spaces can be added.
"""

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy
import onnxruntime

from export.latency import Times, has_processor_time, interleaved, job_of, load_average, this_machine
from export.operator_files import block_of_runtime, input_shapes, is_writable, write_empty, write_network, write_unit
from export.operator_table import Calibration, Entry, MeasuredOn, OperatorTable, TableContent, bytes_moved, unit_key
from export.runtime_units import RuntimeUnit
from export.sessions import open_session
from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph
from nasengine.graph.cost import operation_macs
from nasengine.protocols import NetworkConfig, SearchSpace

UNITS_IN_A_BATCH = 24
WARM_UP = 5
NETWORK_RUNS_SHARE = 0.5  # whole networks run longer, and need fewer runs for a steady median
UNITS_TASK, NETWORKS_TASK = "units", "networks"


@runtime_checkable
class Progress(Protocol):
    """What is told how far the profile is."""

    def begin(self, task: str, num_steps: int, done: int) -> None: ...
    def advance(self, task: str, step: int, metrics: dict[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """How a machine is profiled.

    Args:
        threads: within operators.
        architectures: random ones of each space whose units are measured.
        runs: of each unit that count.
        networks: whole networks for the calibration, of all spaces together.
        seed: of samples, weights and orders.
    """

    threads: int = 1
    architectures: int = 200
    runs: int = 100
    networks: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.threads, self.architectures, self.runs) < 1 or self.networks < 3:
            raise ConfigError(f"profile: expected at least 1 thread, architecture and run, and 3 networks, got {self}")


Sized = tuple[SearchSpace, NetworkConfig]


def profile(
    spaces: Sequence[Sized], out: Path, settings: ProfileSettings, progress: Progress | None = None
) -> tuple[OperatorTable, dict[str, Any]]:
    """Measure the units of spaces, calibrate on whole networks, and write the table.

    Args:
        spaces: search spaces with the sizes of their networks.
        out: file to write, or to go on with.
        settings: how much to measure.
        progress: is told.

    Returns:
        The table, and a summary for people and programs.

    Raises:
        ConfigError: the file holds a table of another machine, or none.
        StoreError: the file cannot be written.
    """
    progress = progress or _Silent()
    table = _begun(out, settings)
    graphs = [graph for sized in spaces for graph in _samples(sized, settings.architectures, settings.seed)]
    units = {unit_key(unit): unit for graph in graphs for unit in table.units(graph)}
    writable = {key: unit for key, unit in units.items() if is_writable(unit)}
    table = _measure_units(table, writable, out, settings, progress)
    fresh = [_samples(sized, settings.networks, settings.seed + 1) for sized in spaces]
    turns = [graph for turn in zip(*fresh, strict=True) for graph in turn][: max(settings.networks, len(spaces))]
    table = _with(table, calibration=_calibrate(table, turns, settings, progress), load_average=load_average())
    table.write(out)
    skipped = sorted({unit.kind for key, unit in units.items() if key not in writable})
    return table, _summary(table, out, skipped)


def measure_networks(graphs: Sequence[ComputationGraph], *, threads: int, runs: int, seed: int) -> numpy.ndarray:
    """Median latency in milliseconds of whole networks with random weights, run in turns, (num_graphs,).

    With one thread it is the time that the processor worked for them, as everything in tables: on a busy machine the
    clock on the wall tells more about other processes.
    """
    with tempfile.TemporaryDirectory(prefix="nasengine-profile-") as folder:
        jobs = []
        for index, graph in enumerate(graphs):
            path = Path(folder) / f"{index}.onnx"
            write_network(graph, path, seed)
            shapes = [(1, *graph.operations[node].output_shape) for node in graph.input_indices]
            jobs.append(job_of(_session(path, threads), shapes, seed))
            path.unlink()
        times = interleaved(jobs, runs=runs, warm_up=WARM_UP, seed=seed)
        return numpy.median(_counted(times, threads), axis=1)


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    return open_session(path, threads=threads, may_spin=False)


def _counted(times: Times, threads: int) -> numpy.ndarray:
    return times.processor_ms if has_processor_time(threads) else times.wall_ms


def _begun(out: Path, settings: ProfileSettings) -> OperatorTable:
    here, block = this_machine(), block_of_runtime()
    machine = MeasuredOn(
        cpu=here.cpu,
        system=here.system,
        onnxruntime=here.onnxruntime,
        threads=settings.threads,
        block=block,
        clock="processor" if has_processor_time(settings.threads) else "wall",
    )
    date = datetime.now(UTC).isoformat(timespec="seconds")
    if not out.exists():
        return OperatorTable(TableContent(machine=machine, date=date))
    known = OperatorTable.read(out)
    if known.content.machine != machine:
        raise ConfigError(
            f"operator table {out}: expected one of this machine with the same runtime and threads ({machine}), "
            f"got {known.content.machine}; choose another --out"
        )
    return _with(known, date=date)


def _with(table: OperatorTable, **changes: Any) -> OperatorTable:
    return OperatorTable(table.content.model_copy(update=changes))


def _samples(sized: Sized, count: int, seed: int) -> list[ComputationGraph]:
    (space, config), rng = sized, random.Random(seed)
    return [space.to_graph(space.sample(rng), config) for _ in range(count)]


def _measure_units(
    table: OperatorTable, units: dict[str, RuntimeUnit], out: Path, settings: ProfileSettings, progress: Progress
) -> OperatorTable:
    """Measure what is missing; the file holds every batch that is finished."""
    known = table.content.entries
    left = [key for key in sorted(units) if key not in known]
    random.Random(settings.seed).shuffle(left)  # units of all sizes in every batch
    done = len(units) - len(left)
    progress.begin(UNITS_TASK, len(units), done)
    for start in range(0, len(left), UNITS_IN_A_BATCH):
        keys = left[start : start + UNITS_IN_A_BATCH]
        empty, measured = _measure_batch([units[key] for key in keys], table.content.machine.block, settings)
        entries = table.content.entries | dict(zip(keys, measured, strict=True))
        table = _with(table, entries=entries, empty_ms=empty, calibration=None)
        table.write(out)
        done += len(keys)
        progress.advance(UNITS_TASK, done - 1, {})
    return table


def _measure_batch(units: Sequence[RuntimeUnit], block: int, settings: ProfileSettings) -> tuple[float, list[Entry]]:
    with tempfile.TemporaryDirectory(prefix="nasengine-profile-") as folder:
        path = Path(folder) / "unit.onnx"
        write_empty(path)
        jobs = [job_of(_session(path, settings.threads), [(1, 1)], settings.seed)]
        for unit in units:
            write_unit(unit, path, block, settings.seed)
            shapes = [(1, *shape) for shape in input_shapes(unit, block)]
            jobs.append(job_of(_session(path, settings.threads), shapes, settings.seed))
    # A call right before each one that counts: in a network the values that a unit reads were written just now.
    measured = interleaved(jobs, runs=settings.runs, warm_up=WARM_UP, seed=settings.seed, untimed=1)
    times = _counted(measured, settings.threads)
    empty = float(numpy.median(times[0]))
    return empty, [_entry(unit, row, empty) for unit, row in zip(units, times[1:], strict=True)]


def _entry(unit: RuntimeUnit, times: numpy.ndarray, empty: float) -> Entry:
    low, median, high = (float(numpy.percentile(times, share)) for share in (16, 50, 84))
    return Entry(
        kind=unit.kind, macs=operation_macs(unit.operation), bytes_moved=bytes_moved(unit),
        median_ms=max(0.0, median - empty), spread_ms=(high - low) / 2, runs=len(times),
    )  # fmt: skip


def _calibrate(
    table: OperatorTable, graphs: Sequence[ComputationGraph], settings: ProfileSettings, progress: Progress
) -> Calibration:
    progress.begin(NETWORKS_TASK, 1, 0)
    runs = max(10, int(settings.runs * NETWORK_RUNS_SHARE))
    measured = measure_networks(graphs, threads=settings.threads, runs=runs, seed=settings.seed)
    progress.advance(NETWORKS_TASK, 0, {})
    return fit_calibration(numpy.array([table.sum_ms(graph)[0] for graph in graphs]), measured)


def fit_calibration(sums: numpy.ndarray, measured: numpy.ndarray) -> Calibration:
    """``measured = a + b * sums`` with least relative squares and a of at least 0, and what it is worth.

    Its errors are those of networks that were left out of the fit, one at a time.

    >>> fit_calibration(numpy.array([1.0, 2.0, 4.0]), numpy.array([2.5, 4.5, 8.5])).slope
    2.0
    """
    intercept, slope = _fit_line(sums, measured)
    errors = []
    for left_out in range(len(sums)):
        kept = numpy.arange(len(sums)) != left_out
        a, b = _fit_line(sums[kept], measured[kept])
        errors.append(abs(a + b * sums[left_out] - measured[left_out]) / measured[left_out])
    return Calibration(
        intercept_ms=intercept, slope=slope, relative_error=float(numpy.sqrt(numpy.mean(numpy.square(errors)))),
        median_relative_error=float(numpy.median(errors)), networks=len(sums),
    )  # fmt: skip


def _fit_line(sums: numpy.ndarray, measured: numpy.ndarray) -> tuple[float, float]:
    rows = numpy.stack([1 / measured, sums / measured], axis=1)
    (intercept, slope), *_ = numpy.linalg.lstsq(rows, numpy.ones(len(sums)), rcond=None)
    if intercept < 0 or slope <= 0:
        return 0.0, float(rows[:, 1].sum() / (rows[:, 1] ** 2).sum())
    return round(float(intercept), 9), round(float(slope), 9)


def _summary(table: OperatorTable, out: Path, skipped: list[str]) -> dict[str, Any]:
    content, known = table.content, table.content.calibration
    return {
        "table": str(out), "entries": len(content.entries), "skipped_kinds": skipped, "empty_ms": content.empty_ms,
        "load_average": content.load_average,
        "machine": content.machine.model_dump(), "calibration": None if known is None else known.model_dump(),
    }  # fmt: skip


class _Silent:
    def begin(self, task: str, num_steps: int, done: int) -> None:
        """Nothing to show."""

    def advance(self, task: str, step: int, metrics: dict[str, Any]) -> None:
        """Nothing to show."""
