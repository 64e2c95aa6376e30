"""Regularised (ageing) evolution: Real, Aggarwal, Huang and Le, 2019, arXiv 1802.01548, algorithm 1."""

import random
from collections import deque
from collections.abc import Sequence

from nasengine.architecture import Architecture
from nasengine.protocols import Evaluation, SearchSpace


class RegularizedEvolution:
    """Mutates the best of a random sample of the population; the oldest member dies.

    Args:
        space: gives first members and mutations.
        rng: source of randomness.
        population_size: members alive.
        sample_size: members among which a parent is picked.
        metric: what is to be large.
    """

    def __init__(
        self,
        space: SearchSpace,
        rng: random.Random,
        *,
        population_size: int = 50,
        sample_size: int = 10,
        metric: str = "accuracy",
    ) -> None:
        self.space, self.rng, self.sample_size, self.metric = space, rng, sample_size, metric
        self.population: deque[tuple[float, Architecture]] = deque(maxlen=population_size)
        self._asked = 0

    def ask(self, count: int) -> list[Architecture]:
        """Propose random architectures until the population is full, then children."""
        return [self._propose() for _ in range(count)]

    def _propose(self) -> Architecture:
        self._asked += 1
        if self._asked <= (self.population.maxlen or 0) or not self.population:
            return self.space.sample(self.rng)
        rivals = self.rng.sample(list(self.population), min(self.sample_size, len(self.population)))
        return self.space.mutate(max(rivals, key=lambda member: member[0])[1], self.rng)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Add measured architectures; failed ones do not live."""
        for evaluation in evaluations:
            if evaluation.failure is None:
                self.population.append((evaluation.metrics[self.metric], evaluation.architecture))
