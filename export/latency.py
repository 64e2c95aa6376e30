"""Measured latency: files run in turns, in random order, so that whatever else the machine does meets all alike.

Medians and percentiles are reported, never means: on a shared machine the slowest runs say more about others.
"""

import gc
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import onnxruntime

from export.process_memory import empty_process_bytes, peak_memory_bytes
from export.sessions import open_session
from nasengine.errors import ConfigError, ExportError

NANOSECONDS_PER_MS = 1e6
FINE_SECONDS = 1e-5  # clocks of processor time that are coarser than this say nothing about a run
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}


@dataclass(frozen=True, slots=True)
class Machine:
    """Where something was measured: model of the CPU, operating system, version of onnxruntime."""

    cpu: str
    system: str
    onnxruntime: str


@dataclass(frozen=True, slots=True)
class LatencyReport:
    """What a file takes for one image.

    Args:
        path: the file.
        p50_ms, p90_ms, p95_ms: half, 90 % and 95 % of the runs took at most this long.
        smallest_ms: the fastest run.
        p50_processor_ms: median of the time that the processor worked on a run, without waiting while it worked for
            other processes: the latency on an idle machine. With one thread only; None otherwise.
        runs, warm_up: runs that count, and those before them that do not.
        threads: within operators.
        load_average: processes that wanted to run, in the minute before; None where the system does not tell.
        machine: where this was.
        peak_memory_bytes: of a fresh process with the file beyond one without; None where it was not asked for.
    """

    path: Path
    p50_ms: float
    p90_ms: float
    p95_ms: float
    smallest_ms: float
    p50_processor_ms: float | None
    runs: int
    warm_up: int
    threads: int
    load_average: float | None
    machine: Machine
    peak_memory_bytes: int | None


def measure(
    paths: Sequence[Path],
    *,
    shape: tuple[int, ...],
    threads: int = 1,
    runs: int = 200,
    warm_up: int = 20,
    seed: int = 0,
    with_memory: bool = True,
) -> list[LatencyReport]:
    """Latency of files in onnxruntime on this machine, one image at a time.

    Threads do not wait busily ("spin"), as onnxruntime's do by default: those of one file would take all cores.

    Args:
        paths: ONNX files with one input.
        shape: (channels, height, width) of an image.
        threads: within operators.
        runs, warm_up: of each file: those that count, and those before.
        seed: of the order and of the image.
        with_memory: also start a process for each file, for its peak memory.

    Raises:
        ConfigError: no run or thread was asked for.
        ExportError: a file cannot be loaded, or takes something else than such images.
    """
    _check(runs, warm_up, threads)
    timing: dict[str, Any] = {"runs": runs, "warm_up": warm_up, "threads": threads, "load_average": load_average()}
    sessions = [open_session(path, threads=threads, may_spin=False) for path in paths]
    shapes = [_image_shape(path, session, shape) for path, session in zip(paths, sessions, strict=True)]
    jobs = [job_of(session, [given], seed) for session, given in zip(sessions, shapes, strict=True)]
    times = interleaved(jobs, runs=runs, warm_up=warm_up, seed=seed)
    empty = empty_process_bytes() if with_memory and paths else 0
    return [
        LatencyReport(
            path=path, **timing, machine=this_machine(), **times.summary(place, threads),
            peak_memory_bytes=peak_memory_bytes(path, shape, threads, empty) if with_memory else None,
        )
        for place, path in enumerate(paths)
    ]  # fmt: skip


def _check(runs: int, warm_up: int, threads: int) -> None:
    if min(runs, threads) < 1 or warm_up < 0:
        raise ConfigError(f"latency: expected at least 1 run and 1 thread, got {runs}, {threads} and warm-up {warm_up}")


def has_processor_time(threads: int) -> bool:
    """Whether this process can tell how long the processor worked on a run: all of it is done by the calling thread."""
    return threads == 1 and time.get_clock_info("thread_time").resolution < FINE_SECONDS


@dataclass(frozen=True, slots=True)
class Times:
    """Durations of runs in milliseconds, (num_jobs, runs).

    Args:
        wall_ms: by the clock on the wall.
        processor_ms: that the processor worked for the calling thread.
    """

    wall_ms: numpy.ndarray
    processor_ms: numpy.ndarray

    def summary(self, job: int, threads: int) -> dict[str, Any]:
        """Percentiles of a job, as a ``LatencyReport`` has them.

        Args:
            job: its place.
            threads: that did the work of one run.
        """
        p50, p90, p95 = (float(numpy.percentile(self.wall_ms[job], share)) for share in (50, 90, 95))
        return {
            "p50_ms": p50, "p90_ms": p90, "p95_ms": p95, "smallest_ms": float(self.wall_ms[job].min()),
            "p50_processor_ms": float(numpy.median(self.processor_ms[job])) if has_processor_time(threads) else None,
        }  # fmt: skip


def interleaved(jobs: Sequence[Callable[[], object]], *, runs: int, warm_up: int, seed: int, untimed: int = 0) -> Times:
    """Durations of jobs: in every round each job runs once, in a new random order.

    Args:
        jobs: what to time.
        runs: rounds that count.
        warm_up: rounds before them.
        seed: of the orders.
        untimed: calls of a job right before each one that counts, which bring what it needs into the caches.
    """
    rng = numpy.random.default_rng(seed)
    nanoseconds = numpy.zeros((2, len(jobs), runs))
    was_collecting = gc.isenabled()
    gc.disable()  # a collection in the middle of a run would count as the run's
    try:
        for round_index in range(-warm_up, runs):
            for place in rng.permutation(len(jobs)):
                for _ in range(untimed):
                    jobs[place]()
                durations = _timed(jobs[place])
                if round_index >= 0:
                    nanoseconds[:, place, round_index] = durations
    finally:
        if was_collecting:
            gc.enable()
    return Times(*(nanoseconds / NANOSECONDS_PER_MS))


def _timed(job: Callable[[], object]) -> tuple[int, int]:
    """Nanoseconds of one call: on the wall, and of the processor."""
    processor_began, began = time.thread_time_ns(), time.perf_counter_ns()
    job()
    ended, processor_ended = time.perf_counter_ns(), time.thread_time_ns()
    return ended - began, processor_ended - processor_began


def job_of(session: onnxruntime.InferenceSession, shapes: Sequence[tuple[int, ...]], seed: int) -> Callable[[], object]:
    """One run of a session on normal random values of these shapes, a shape for each input."""
    rng = numpy.random.default_rng(seed)
    inputs = {
        entry.name: rng.standard_normal(shape, dtype="float32").astype(_DTYPES[entry.type])
        for entry, shape in zip(session.get_inputs(), shapes, strict=True)
    }
    return lambda: session.run(None, inputs)


def load_average() -> float | None:
    """Of the last minute; None where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def this_machine() -> Machine:
    """The machine that runs this.

    >>> this_machine() == this_machine()
    True
    """
    return Machine(_cpu_model(), f"{platform.system()} {platform.machine()}", onnxruntime.__version__)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return next(iter(names), "") or platform.processor() or platform.machine()


def _image_shape(path: Path, session: onnxruntime.InferenceSession, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a batch of one image, checked against what the file takes."""
    entries = session.get_inputs()
    if len(entries) != 1 or entries[0].type not in _DTYPES:
        kinds = ", ".join(entry.type for entry in entries) or "none"
        raise ExportError(f"onnx file {path}: expected one input of floating point numbers, got {kinds}")
    wanted, given = entries[0].shape, (1, *shape)
    if len(wanted) != len(given) or any(
        isinstance(size, int) and size != got for size, got in zip(wanted, given, strict=True)
    ):
        raise ExportError(f"onnx file {path}: expected a batch of one image as {wanted}, got {given}")
    return given
