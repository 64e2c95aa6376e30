"""Perturbation-based selection: keep the operation that the supernet misses most.

Wang, Cheng, Chen, Tang and Hsieh, 2021, arXiv 2108.04392 ("Rethinking Architecture Selection in Differentiable NAS"),
algorithm 1. First every edge is given its operation (operation projection), then every node its input edges (topology
projection), in random order, with some training in between. Deviations from the released code, each for a reason:
batches are compared in pairs and only as long as that is needed; of equally damaging operations the first is kept; a
score leaves the running statistics of batch norms as they were; edges that were already removed from a node stay
removed while its next edge is scored; there is no training after the last decision, since nothing depends on it.
"""

import random
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nasengine.architecture import Architecture
from nasengine.data import ImageDataset, batches
from nasengine.data.batches import Batch
from nasengine.graph.supergraph import ChoiceKey
from nasengine.optimization import set_learning_rate
from nasengine.protocols import SupernetSpace, TaskState
from nasengine.randomness import seed_of, seeded_generator
from nasengine.selection.comparison import Comparison, Stopping, compare
from nasengine.supernet.choice import Mixture
from nasengine.supernet.training.batch_norm import kept_statistics
from nasengine.supernet.training.differentiable import DifferentiableTraining

TUNING_RATE_SHARE = 0.1
Criterion = Literal["accuracy", "loss"]


@dataclass(frozen=True, slots=True)
class _Decision:
    """One event of the schedule: every kind of cell decides one edge (``node`` is None) or one node."""

    number: int
    is_topology: bool


class PerturbationSelection:
    """Selection as a task; its steps are decisions and the epochs of tuning between them.

    Args:
        space: the search space.
        training: the trained supernet with its architecture weights; tuned in place.
        dataset: candidates are compared on images of ``validation``.
        tuning_epochs: epochs of training after each decision.
        batch_size: images in a batch while comparing.
        seed: of the run; gives the order of edges and nodes.
        criterion: what removing a candidate damages: accuracy, or the loss; both are in the released code.
        stopping: when a comparison stops looking at images; ``Stopping(None)`` looks at all of them, as the paper does.
    """

    name = "selection"

    def __init__(
        self,
        space: SupernetSpace,
        training: DifferentiableTraining,
        dataset: ImageDataset,
        *,
        tuning_epochs: int,
        batch_size: int,
        seed: int,
        criterion: Criterion = "loss",
        stopping: Stopping | None = None,
    ) -> None:
        self.criterion, self.stopping = criterion, stopping or Stopping()
        self.num_passes = 0.0
        self.space, self.training, self.dataset = space, training, dataset
        self.tuning_epochs, self.batch_size, self.seed = tuning_epochs, batch_size, seed
        topology = space.topology
        self._open_nodes = [
            target for target in topology.targets if topology.num_kept(target) < len(topology.sources(target))
        ]
        events = [_Decision(number, False) for number in range(len(topology.edges))]
        events += [_Decision(number, True) for number in range(len(self._open_nodes))]
        self._schedule: list[_Decision | int] = []
        for index, event in enumerate(events):
            self._schedule.append(event)
            if index < len(events) - 1:
                self._schedule.extend(range(tuning_epochs))
        self.decided: dict[ChoiceKey, int] = {}
        self.removed: set[ChoiceKey] = set()
        self._began = False

    @property
    def num_steps(self) -> int:
        """Decisions and tuning epochs."""
        return len(self._schedule)

    def run_step(self, step: int) -> dict[str, Any]:
        """Take a decision for every kind of cell, or tune for one epoch."""
        if not self._began:
            self.training.restart_weights_optimizer()
            self._began = True
        entry = self._schedule[step]
        if isinstance(entry, int):
            rate = TUNING_RATE_SHARE * self.training.recipe.learning_rate
            loss = self.training.epoch(self._mixture, rate, ("tuning", step))
            return {"loss": loss}
        decide = self._decide_node if entry.is_topology else self._decide_edge
        with kept_statistics(self.training.supernet):
            return {"decisions": [decide(kind, entry.number) for kind in self.space.topology.kinds]}

    def architecture(self) -> Architecture:
        """What was selected."""
        kept = {key: () if key in self.removed else (pick,) for key, pick in self.decided.items()}
        return self.space.architecture(kept)

    # --- decisions --------------------------------------------------------------------------------------------------

    def _decide_edge(self, kind: str, number: int) -> dict[str, Any]:
        topology = self.space.topology
        index = self._order(kind, "edges", list(range(len(topology.edges))))[number]
        names = topology.candidates[kind][index]
        source, target = topology.edges[index]
        report: dict[str, Any] = {"kind": kind, "edge": [source, target]}
        allowed = [
            pick for pick in self.training.supernet.allowed[(kind, index)] if names[pick] not in topology.search_only
        ]
        if len(allowed) == 1:  # an edge of a leaf that was split until one candidate was left
            self.decided[(kind, index)] = allowed[0]
            return report | {"damage_without": {}, "passes": 0.0, "kept": names[allowed[0]]}
        found = self._compare({pick: self._mixture(True, without=((kind, index), pick)) for pick in allowed}, most=True)
        self.decided[(kind, index)] = found.chosen
        return report | {
            "damage_without": {names[pick]: value for pick, value in found.damage.items()},
            "passes": found.num_passes,
            "kept": names[found.chosen],
        }

    def _decide_node(self, kind: str, number: int) -> dict[str, Any]:
        topology = self.space.topology
        target = self._order(kind, "nodes", self._open_nodes)[number]
        remaining = [topology.edge_index(source, target) for source in topology.sources(target)]
        rounds = []
        while len(remaining) > topology.num_kept(target):
            found = self._compare(
                {index: self._mixture(True, dropped={(kind, index)}) for index in remaining}, most=False
            )
            remaining.remove(found.chosen)
            self.removed.add((kind, found.chosen))
            rounds.append({
                "damage_without": {str(topology.edges[index][0]): value for index, value in found.damage.items()},
                "passes": found.num_passes,
                "removed": topology.edges[found.chosen][0],
            })  # fmt: skip
        return {"kind": kind, "node": target, "rounds": rounds, "kept": [topology.edges[i][0] for i in remaining]}

    def _order(self, kind: str, what: str, items: list[int]) -> list[int]:
        """Random order of edges or nodes, the same whenever it is asked for."""
        return random.Random(seed_of(self.seed, "selection", kind, what)).sample(items, len(items))

    # --- measuring --------------------------------------------------------------------------------------------------

    def _mixture(
        self,
        detach: bool,
        without: tuple[ChoiceKey, int] | None = None,
        dropped: set[ChoiceKey] | None = None,
    ) -> Mixture:
        """The mixture of the moment; weights that are taken away are not shared out among the others."""
        active: dict[ChoiceKey, tuple[int, ...]] = {}
        gone = self.removed | (dropped or set())
        for key, picks in self.training.supernet.allowed.items():
            chosen = (self.decided[key],) if key in self.decided else tuple(picks)
            if without is not None and key == without[0]:
                chosen = tuple(pick for pick in chosen if pick != without[1])
            active[key] = () if key in gone else chosen
        return self.training.alphas.mixture(self.decided, active, detach=detach)

    @torch.no_grad()
    def _compare(self, mixtures: dict[int, Mixture], *, most: bool) -> Comparison[int]:
        """Compare changes of the supernet on validation images, with batch statistics in its batch norms."""

        def damage(change: int, batch: Batch) -> Tensor:
            logits = self.training.supernet(batch[0], mixtures[change])
            if self.criterion == "loss":
                return F.cross_entropy(logits, batch[1], reduction="none")
            return (logits.argmax(1) != batch[1]).float()

        feed = batches(self.dataset.validation, self.dataset, self.batch_size, seeded_generator(self.seed, "compared"))
        found = compare(list(mixtures), feed, len(self.dataset.validation), damage, most=most, stopping=self.stopping)
        self.num_passes += found.num_passes
        return found

    # --- state ------------------------------------------------------------------------------------------------------

    def state(self) -> TaskState:
        """The tuned supernet and all decisions."""
        state = self.training.state()
        state.values = {
            "decided": [[kind, edge, pick] for (kind, edge), pick in self.decided.items()],
            "removed": sorted([kind, edge] for kind, edge in self.removed),
        }
        return state

    def load_state(self, state: TaskState) -> None:
        """Go back to a state."""
        self.training.restart_weights_optimizer()
        set_learning_rate(self.training.weights_optimizer, TUNING_RATE_SHARE * self.training.recipe.learning_rate)
        self.training.load_state(state)
        self._began = True
        self.decided = {(kind, edge): pick for kind, edge, pick in state.values["decided"]}
        self.removed = {(kind, edge) for kind, edge in state.values["removed"]}
