"""Search spaces whose every architecture has an accuracy in a table, and what searches on them can share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.tables import COLUMNS, read_accuracies
from nasengine import registry
from nasengine.architecture import Architecture
from nasengine.graph import ComputationGraph
from nasengine.protocols import Evaluation, SearchSpace
from nasengine.strategies import Candidates
from predictors.gaussian_process import FeatureBlocks, feature_blocks

FILES = {
    "nasbench_macro": ("nasbench_macro.csv.gz", COLUMNS["nasbench_macro"]),
    "nasbench201": ("nasbench201.csv.gz", COLUMNS["nasbench201"]),
}
"""File and column of each space; accuracies are of CIFAR-10 test images, in percent."""


@dataclass(frozen=True, eq=False)
class SearchTable:
    """A space and the accuracy of all its architectures.

    Args:
        space: the space.
        accuracy: percent.
    """

    space: SearchSpace
    accuracy: dict[Architecture, float]

    @classmethod
    def read(cls, folder: Path, name: str) -> "SearchTable":
        """Read the table of a space from a folder with all tables."""
        space = registry.load("search space", name)
        file, column = FILES[name]
        return cls(space, {space.parse(text): value for text, value in read_accuracies(folder / file, column).items()})

    @cached_property
    def best(self) -> float:
        """The largest accuracy."""
        return max(self.accuracy.values())

    def evaluate(self, architecture: Architecture) -> Evaluation:
        """Look an architecture up; the accuracy is a fraction, as strategies expect."""
        return Evaluation(architecture, {"accuracy": self.accuracy[architecture] / 100})

    @cached_property
    def candidates(self) -> Candidates:
        """All architectures and their graphs, built once for all searches."""
        graphs = Candidates.of(self.space, self.accuracy, self.space.defaults)
        return Candidates(graphs.architectures, graphs.graphs, is_whole_space=True)

    def features(self, graphs: Sequence[ComputationGraph]) -> FeatureBlocks:
        """Features of some of the candidates' graphs, worked out once for all searches."""
        if graphs is self.candidates.graphs:
            return self._blocks
        rows = self.rows(graphs)
        return tuple(block[rows] for block in self._blocks)

    def rows(self, graphs: Sequence[ComputationGraph]) -> list[int]:
        """Which of the candidates some graphs belong to."""
        return [self._row_by_graph[id(graph)] for graph in graphs]

    @cached_property
    def _blocks(self) -> FeatureBlocks:
        return feature_blocks(self.candidates.graphs)

    @cached_property
    def _row_by_graph(self) -> dict[int, int]:
        return {id(graph): row for row, graph in enumerate(self.candidates.graphs)}
