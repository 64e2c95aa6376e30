"""NSGA-II: evolution towards the best trade-offs (Deb, Pratap, Agarwal and Meyarivan, 2002, section III).

With limits, networks that keep them come before others, and of others those that exceed them less (section VI).
"""

import random
from collections.abc import Sequence

import numpy

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.protocols import Evaluation, NetworkConfig, SearchSpace
from nasengine.strategies.measurements import Measurements
from nasengine.strategies.non_dominated_sorting import ranking
from nasengine.strategies.objectives import ACCURACY_AND_MACS, Objective
from nasengine.strategies.unseen import SeenArchitectures
from nasengine.targets.constraints import NO_LIMITS, Constraints


class ParetoEvolution:
    """Parents win binary tournaments by front and room; of parents and children together the better half survives.

    A generation is as many children as there are parents. Deviation from the paper: a mutation follows with a chance of
    ``mutation_share`` for the whole child, since spaces know what a step is.

    Args:
        space: gives first members, crossovers and mutations.
        rng: source of randomness.
        objectives: what counts; at least one.
        constraints: limits of the answer; evaluations hold the limited metrics that graphs do not tell.
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
        constraints: Constraints = NO_LIMITS,
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
        self.measured = Measurements(
            self.objectives, constraints, lambda found: self.space.to_graph(found, self.network)
        )
        self._parents: list[int] = []
        self._children: list[int] = []
        self._asked = 0

    def ask(self, count: int) -> list[Architecture]:
        """Propose random architectures until there are enough parents, then children."""
        return [self._propose() for _ in range(count)]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Add measured architectures; failed ones do not live, but are not proposed again either.

        Raises:
            ConfigError: an objective or a limited metric was not measured.
        """
        self._children += self.measured.take(evaluations, self.seen)
        if len(self._children) >= self.population_size:
            self._select()

    def front(self) -> list[Evaluation]:
        """Everything measured that keeps the limits and that nothing of it dominates, in the order of measurement."""
        return [self.measured.evaluations[index] for index in self.measured.front]

    def best(self) -> Evaluation | None:
        """The best by the first objective of all that keep the limits; None while nothing does."""
        return self.measured.best()

    def nearest(self) -> Evaluation:
        """The best, or while nothing keeps the limits, what exceeds them least."""
        return self.measured.nearest()

    def _propose(self) -> Architecture:
        self._asked += 1
        is_first = self._asked <= self.population_size or not self._parents
        chosen = self.seen.first_unseen((lambda: self.space.sample(self.rng)) if is_first else self._child)
        self.seen.add(chosen)
        return chosen

    def _select(self) -> None:
        """Parents and children compete; the survivors stay in the order of their places."""
        living = [*self._parents, *self._children]
        places = ranking(self.measured.points[living], self.measured.violations[living])
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
        return self.measured.evaluations[self._parents[min(first, second)]].architecture
