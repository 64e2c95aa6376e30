"""NSGA-II: evolution towards the best trade-offs (Deb, Pratap, Agarwal and Meyarivan, 2002, section III)."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.graph.cost import cost
from nasengine.protocols import Evaluation, NetworkConfig, SearchSpace
from nasengine.strategies.non_dominated_sorting import front_numbers, ranking
from nasengine.strategies.unseen import SeenArchitectures

_COSTS = ("macs", "num_parameters")


@dataclass(frozen=True)
class Objective:
    """A metric and what it is to be.

    Args:
        metric: its name in ``Evaluation.metrics``; ``macs`` and ``num_parameters`` need not be there.
        direction: ``max`` or ``min``.
    """

    metric: str
    direction: str

    def __post_init__(self) -> None:
        if self.direction not in ("max", "min"):
            raise ConfigError(f"objective {self.metric}: expected direction max or min, got {self.direction!r}")


ACCURACY_AND_MACS = (Objective("accuracy", "max"), Objective("macs", "min"))


class ParetoEvolution:
    """Parents win binary tournaments by front and room; of parents and children together the better half survives.

    A generation is as many children as there are parents. Deviation from the paper: a mutation follows with a chance of
    ``mutation_share`` for the whole child, since spaces know what a step is.

    Args:
        space: gives first members, crossovers and mutations.
        rng: source of randomness.
        objectives: what counts; at least one.
        population_size: parents.
        mutation_share: chance that a child of two parents is mutated too.
        network: sizes of the networks whose macs or parameters count; the space's defaults by default.

    >>> from search_spaces.nasbench_macro import NASBENCH_MACRO as space
    >>> strategy = ParetoEvolution(space, random.Random(0), population_size=10)
    >>> for _ in range(5):
    ...     found = strategy.ask(10)
    ...     strategy.tell([Evaluation(one, {"accuracy": space.format(one).count("2") / 8}) for one in found])
    >>> len(strategy.front()) > 3
    True
    """

    def __init__(
        self,
        space: SearchSpace,
        rng: random.Random,
        *,
        objectives: Sequence[Objective] = ACCURACY_AND_MACS,
        population_size: int = 20,
        mutation_share: float = 0.5,
        network: NetworkConfig | None = None,
    ) -> None:
        if not objectives or population_size < 2:
            raise ConfigError(
                f"pareto: expected at least one objective and two parents, got {len(objectives)} and {population_size}"
            )
        self.space, self.rng, self.objectives = space, rng, tuple(objectives)
        self.population_size, self.mutation_share = population_size, mutation_share
        self.network = network or space.defaults
        self.seen = SeenArchitectures(space, rng)
        self._evaluations: list[Evaluation] = []
        self._points: list[list[float]] = []
        self._parents: list[int] = []
        self._children: list[int] = []
        self._asked = 0

    def ask(self, count: int) -> list[Architecture]:
        """Propose random architectures until there are enough parents, then children."""
        return [self._propose() for _ in range(count)]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Add measured architectures; failed ones do not live, but are not proposed again either.

        Raises:
            ConfigError: an objective was not measured.
        """
        for evaluation in evaluations:
            self.seen.add(evaluation.architecture)
            if evaluation.failure is None:
                self._points.append(self._point(evaluation))
                self._children.append(len(self._evaluations))
                self._evaluations.append(evaluation)
        if len(self._children) >= self.population_size:
            self._select()

    def front(self) -> list[Evaluation]:
        """Everything measured that nothing measured dominates, in the order in which it was measured."""
        if not self._points:
            return []
        best = front_numbers(numpy.array(self._points)) == 0
        return [self._evaluations[index] for index in numpy.flatnonzero(best)]

    def _propose(self) -> Architecture:
        self._asked += 1
        is_first = self._asked <= self.population_size or not self._parents
        chosen = self.seen.first_unseen((lambda: self.space.sample(self.rng)) if is_first else self._child)
        self.seen.add(chosen)
        return chosen

    def _select(self) -> None:
        """Parents and children compete; the survivors stay in the order of their places."""
        living = [*self._parents, *self._children]
        places = ranking(numpy.array([self._points[index] for index in living]))
        self._parents = [living[index] for index in numpy.argsort(places)[: self.population_size]]
        self._children = []

    def _child(self) -> Architecture:
        child = self.space.crossover(self._parent(), self._parent(), self.rng)
        if child in self.seen or self.rng.random() < self.mutation_share:
            return self.space.mutate(child, self.rng)
        return child

    def _parent(self) -> Architecture:
        """The better of two; parents are sorted."""
        first, second = (self.rng.randrange(len(self._parents)) for _ in range(2))
        return self._evaluations[self._parents[min(first, second)]].architecture

    def _point(self, evaluation: Evaluation) -> list[float]:
        values = dict(evaluation.metrics)
        missing = [entry.metric for entry in self.objectives if entry.metric not in values]
        if any(name not in _COSTS for name in missing):
            raise ConfigError(
                f"pareto: expected metrics {', '.join(entry.metric for entry in self.objectives)}, "
                f"got {', '.join(evaluation.metrics) or 'none'}"
            )
        if missing:
            total = cost(self.space.to_graph(evaluation.architecture, self.network))
            values = {"macs": float(total.macs), "num_parameters": float(total.num_parameters), **values}
        return [values[entry.metric] * (1 if entry.direction == "max" else -1) for entry in self.objectives]
