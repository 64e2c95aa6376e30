"""Tables of NAS-Bench-201 with accuracy and measured latency of every network on one device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy

from benchmarks.search_tables import SearchTable
from benchmarks.tables import read_accuracies
from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph
from nasengine.protocols import Evaluation
from predictors.latency.latency_predictor import features_of

HARDWARE = "nasbench201_hardware.csv.gz"


@dataclass(frozen=True, eq=False)
class DeviceTable:
    """Accuracies of a space and latencies of one device.

    Args:
        accuracies: the space and its accuracies, percent.
        device: its name.
        latency_ms: of every architecture of ``accuracies``; infinite where a network did not run.
    """

    accuracies: SearchTable
    device: str
    latency_ms: dict[Architecture, float]

    @classmethod
    def read(cls, folder: Path, device: str) -> "DeviceTable":
        """Read both tables from a folder.

        Raises:
            ConfigError: a file is missing, has no column of the device, or lacks architectures.
        """
        table = SearchTable.read(folder, "nasbench201")
        column = read_accuracies(folder / HARDWARE, f"{device}_latency_ms")
        latency = {table.space.parse(text): value if value > 0 else math.inf for text, value in column.items()}
        missing = sum(found not in latency for found in table.accuracy)
        if missing:
            raise ConfigError(f"table {folder / HARDWARE}: expected all of nasbench201.csv.gz, {missing} are missing")
        return cls(table, device, latency)

    def evaluate(self, architecture: Architecture) -> Evaluation:
        """Look both up; the accuracy is a fraction, as strategies expect."""
        found = self.accuracies.evaluate(architecture).metrics
        return Evaluation(architecture, {**found, "latency_ms": self.latency_ms[architecture]})

    def best_under(self, cap_ms: float) -> float:
        """The largest accuracy, in percent, of all that keep a cap.

        Raises:
            ConfigError: nothing keeps it.
        """
        kept = [value for found, value in self.accuracies.accuracy.items() if self.latency_ms[found] <= cap_ms]
        if not kept:
            fastest = min(self.latency_ms[found] for found in self.accuracies.accuracy)
            raise ConfigError(f"--caps: nothing on {self.device} keeps {cap_ms:g} ms; the fastest takes {fastest:g} ms")
        return max(kept)

    @cached_property
    def points(self) -> numpy.ndarray:
        """Accuracy, a fraction, and latency with a minus, of all, (num_architectures, 2)."""
        known = self.accuracies.accuracy.items()
        return numpy.array([(value / 100, -self.latency_ms[found]) for found, value in known])

    def latency_features(self, graphs: Sequence[ComputationGraph]) -> tuple[numpy.ndarray, ...]:
        """What latency predictors see of the candidates' graphs, worked out once for all searches."""
        if graphs is self.accuracies.candidates.graphs:
            return self._features
        rows = self.accuracies.rows(graphs)
        return tuple(block[rows] for block in self._features)

    @cached_property
    def _features(self) -> tuple[numpy.ndarray, ...]:
        return features_of(self.accuracies.candidates.graphs)
