"""A latency model as a table: what every unit of the runtime takes on one machine, and how units add up to networks.

Look-up tables by operator go back to ProxylessNAS (Cai et al., 2019, arXiv 1812.00332); that fused kernels, not
operators, are what adds up is from nn-Meter (Zhang et al., 2021, doi 10.1145/3458864.3467882).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from export.runtime_units import RuntimeUnit, runtime_units
from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph
from nasengine.graph.cost import BYTES_PER_VALUE, operation_macs, operation_parameters
from nasengine.protocols import Prediction
from nasengine.store.artifacts import write_file

MAX_FILE_BYTES = 50_000_000
SMALLEST_MS = 1e-4  # what is faster than an empty call counts as this where logarithms are taken
MIN_ENTRIES_OF_KIND = 4
UNCALIBRATED_ERROR = 0.3
ERROR_LIMITS = 0.25, 3.0  # of what is estimated from other entries
Words = Annotated[str, Field(max_length=500)]
Milliseconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**18)]
_CONFIG = ConfigDict(frozen=True, extra="forbid", strict=True)


class Entry(BaseModel):
    """One unit: its kind and costs, the median of its runs without what an empty call takes, and half of their spread.

    ``spread_ms`` is half the distance from the 16th to the 84th percentile: the deviation of a normal distribution.
    """

    model_config = _CONFIG

    kind: Annotated[str, Field(min_length=1, max_length=64)]
    macs: Count
    bytes_moved: Count
    median_ms: Milliseconds
    spread_ms: Milliseconds
    runs: Annotated[int, Field(ge=1, le=10**9)]


class Calibration(BaseModel):
    """How whole networks relate to sums of their units: ``intercept_ms + slope * sum``.

    ``relative_error`` is the root mean square, and ``median_relative_error`` the median, of networks left out one at a
    time; ``networks`` were measured.
    """

    model_config = _CONFIG

    intercept_ms: Milliseconds
    slope: Milliseconds
    relative_error: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
    median_relative_error: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
    networks: Annotated[int, Field(ge=1, le=10**6)]


class MeasuredOn(BaseModel):
    """The machine and its runtime.

    ``block`` is the number of channels in a block of the runtime's layout, or 0. ``clock`` says whether times are those
    on the wall or, with one thread, those that the processor worked: latency on a machine with nothing else to do.
    """

    model_config = _CONFIG

    cpu: Words
    system: Words
    onnxruntime: Words
    threads: Annotated[int, Field(ge=1, le=1024)]
    block: Annotated[int, Field(ge=0, le=1024)]
    clock: Literal["processor", "wall"]


class TableContent(BaseModel):
    """What is in the file; ``empty_ms`` is what a call takes by itself, ``load_average`` how busy the machine was."""

    model_config = _CONFIG

    schema_version: Literal[1] = 1
    machine: MeasuredOn
    date: Words
    empty_ms: Milliseconds = 0.0
    load_average: Milliseconds | None = None
    calibration: Calibration | None = None
    entries: Annotated[dict[Annotated[str, Field(max_length=2000)], Entry], Field(max_length=200_000)] = {}


class OperatorTable:
    """Predicts latencies of networks on the machine that the table was measured on.

    Args:
        content: the table.
    """

    def __init__(self, content: TableContent) -> None:
        self.content = content

    @classmethod
    def read(cls, path: Path) -> "OperatorTable":
        """A table from a file, which may be anybody's.

        Raises:
            ConfigError: it is missing, too large or malformed.
        """
        try:
            size = path.stat().st_size
            if size > MAX_FILE_BYTES:
                raise ConfigError(f"operator table {path}: expected at most {MAX_FILE_BYTES} bytes, got {size}")
            return cls(TableContent.model_validate_json(path.read_bytes()))
        except ValidationError as fault:
            first = fault.errors()[0]
            place = ".".join(map(str, first["loc"]))[:200] or "the file"
            raise ConfigError(
                f"operator table {path}, {place}: {first['msg'][:300]}; write one: nasengine target profile"
            ) from fault
        except (OSError, ValueError) as fault:  # ValueError: a path with a null byte
            if isinstance(fault, ConfigError):
                raise
            reason = getattr(fault, "strerror", None) or fault
            raise ConfigError(f"operator table {path}: expected a JSON file, got: {reason}") from fault

    def write(self, path: Path) -> None:
        """Write the table, whole or not at all.

        Raises:
            StoreError: the disk is full or the folder cannot be written to.
        """
        write_file(path, self.content.model_dump_json(indent=1).encode())

    def predict(self, graphs: Sequence[ComputationGraph]) -> Prediction:
        """Latency of networks in milliseconds, and its deviation, which is larger where units had to be estimated.

        Raises:
            ConfigError: the table is empty.
        """
        found = [self._predict(graph) for graph in graphs]
        mean, std = zip(*found, strict=True) if found else ((), ())
        return Prediction(numpy.array(mean), numpy.array(std))

    def missing(self, graph: ComputationGraph) -> list[str]:
        """Units of a network that the table does not have."""
        return sorted({key for key in map(unit_key, self.units(graph)) if key not in self.content.entries})

    def units(self, graph: ComputationGraph) -> list[RuntimeUnit]:
        """What the machine's runtime makes of a network."""
        return runtime_units(graph, self.content.machine.block)

    def sum_ms(self, graph: ComputationGraph) -> tuple[float, float]:
        """Sum of a network's units, and the error of those that had to be estimated.

        These errors are added up, not their squares: units of one kind are wrong in the same direction.
        """
        total = error = 0.0
        for unit, count in Counter(self.units(graph)).items():
            entry = self.content.entries.get(unit_key(unit))
            if entry is not None:
                total += count * entry.median_ms
            else:
                estimate, relative = self._estimate(unit)
                total += count * estimate
                error += count * estimate * relative
        return total, error

    def _predict(self, graph: ComputationGraph) -> tuple[float, float]:
        total, error = self.sum_ms(graph)
        known = self.content.calibration
        if known is None:
            mean = self.content.empty_ms + total
            return mean, math.hypot(UNCALIBRATED_ERROR * mean, error)
        mean = known.intercept_ms + known.slope * total
        return mean, math.hypot(known.relative_error * mean, known.slope * error)

    def _estimate(self, unit: RuntimeUnit) -> tuple[float, float]:
        if unit.kind not in self._fits:
            own = [entry for entry in self.content.entries.values() if entry.kind == unit.kind]
            self._fits[unit.kind] = _LogLinear(
                own if len(own) >= MIN_ENTRIES_OF_KIND else self.content.entries.values()
            )
        return self._fits[unit.kind].estimate(operation_macs(unit.operation), bytes_moved(unit))

    @cached_property
    def _fits(self) -> dict[str, "_LogLinear"]:
        return {}


def unit_key(unit: RuntimeUnit) -> str:
    """Name of a unit in tables: everything that its cost depends on.

    >>> from nasengine.graph import Operation
    >>> unit_key(RuntimeUnit(Operation("relu", ((4, 8, 8),), (4, 8, 8)), is_blocked=True))
    'relu 4x8x8 > 4x8x8 blocked'
    """
    operation = unit.operation
    inputs = " ".join(map(_sizes, operation.input_shapes))
    words = [f"{operation.kind} {inputs} > {_sizes(operation.output_shape)}"]
    if operation.kind in ("conv", "max_pool", "avg_pool"):
        words += [f"{name} {_sizes(getattr(operation, name))}" for name in ("kernel", "stride", "padding", "dilation")]
        words += [f"groups {operation.groups}"] * (operation.groups > 1)
    words += [f"{name}={value}" for name, value in operation.attributes if name != "value"]
    words += ["blocked"] * unit.is_blocked + ["adds"] * unit.adds_another + [unit.activation] * bool(unit.activation)
    return " ".join(words)


def bytes_moved(unit: RuntimeUnit) -> int:
    """Inputs, weights and output of a unit in float32."""
    operation = unit.operation
    tensors = [*operation.input_shapes, *[operation.output_shape] * (1 + unit.adds_another)]
    return BYTES_PER_VALUE * (sum(map(math.prod, tensors)) + operation_parameters(operation))


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "1"


class _LogLinear:
    """Time as a product of powers of macs and of bytes moved, fitted to entries."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        known = list(entries)
        if not known:
            raise ConfigError("operator table: expected entries, got none; measure some: nasengine target profile")
        inputs = numpy.array([_features(entry.macs, entry.bytes_moved) for entry in known])
        times = numpy.log([max(entry.median_ms, SMALLEST_MS) for entry in known])
        self._mean, self._offset = inputs.mean(0), times.mean()
        centred = inputs - self._mean
        # A little ridge: where all entries have the same macs, their power is 0.
        normal = centred.T @ centred + 1e-3 * numpy.eye(centred.shape[1])
        self._powers = numpy.linalg.solve(normal, centred.T @ (times - self._offset))
        self._lowest, self._highest = times.min() - 1, times.max() + 3
        residuals = times - self._offset - centred @ self._powers
        spread = math.expm1(float(numpy.sqrt((residuals**2).sum() / max(1, len(known) - 3))))
        self._error = min(max(spread, ERROR_LIMITS[0]), ERROR_LIMITS[1])

    def estimate(self, macs: int, moved: int) -> tuple[float, float]:
        """Milliseconds and their relative error; never far outside what was measured."""
        raw = self._offset + (numpy.array(_features(macs, moved)) - self._mean) @ self._powers
        return math.exp(float(numpy.clip(raw, self._lowest, self._highest))), self._error


def _features(macs: int, moved: int) -> tuple[float, float]:
    return math.log1p(macs), math.log1p(moved)
