"""Selection by the size of the architecture weights, as DARTS does it (Liu et al., 2019, section 2.4)."""

from collections.abc import Iterator
from typing import Any

from nasengine.architecture import Architecture
from nasengine.cells.topology import CellTopology
from nasengine.graph.supergraph import ChoiceKey, Selection
from nasengine.protocols import SupernetSpace, TaskState
from nasengine.supernet.architecture_weights import ArchitectureWeights


class MagnitudeSelection:
    """Keeps the heaviest operation of each edge and, for each node, the edges whose operations are heaviest.

    Args:
        space: the search space.
        alphas: trained architecture weights.
    """

    name = "selection"
    num_steps = 1

    def __init__(self, space: SupernetSpace, alphas: ArchitectureWeights) -> None:
        self.space, self.alphas = space, alphas
        self._chosen: str | None = None

    def run_step(self, step: int) -> dict[str, Any]:
        """Read the weights; the metrics list those of every edge."""
        topology = self.space.topology
        weights = {kind: rows.detach().cpu().tolist() for kind, rows in self.alphas.mean().items()}
        kept: Selection = {
            key: picks for kind in topology.kinds for key, picks in _strongest(topology, kind, weights[kind])
        }
        self._chosen = self.space.format(self.space.architecture(kept))
        return {"weights": weights}

    def architecture(self) -> Architecture:
        """What was selected."""
        assert self._chosen is not None
        return self.space.parse(self._chosen)

    def state(self) -> TaskState:
        """The genotype."""
        return TaskState(values={"chosen": self._chosen})

    def load_state(self, state: TaskState) -> None:
        """Go back to a state."""
        self._chosen = state.values["chosen"]


def _strongest(topology: CellTopology, kind: str, rows: list[list[float]]) -> Iterator[tuple[ChoiceKey, tuple[int]]]:
    """The candidate of each edge that is kept."""
    for target in topology.targets:
        ranked = []
        for source in topology.sources(target):
            index = topology.edge_index(source, target)
            names = topology.candidates[kind][index]
            allowed = [
                (rows[index][place], place) for place, name in enumerate(names) if name not in topology.search_only
            ]
            weight, pick = max(allowed, key=lambda pair: pair[0])
            ranked.append((weight, index, pick))
        ranked.sort(key=lambda entry: -entry[0])  # stable: of equal weights the earlier source wins
        yield from (((kind, index), (pick,)) for _, index, pick in ranked[: topology.num_kept(target)])
