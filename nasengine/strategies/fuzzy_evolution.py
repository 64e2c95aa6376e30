"""Regularised evolution whose children pass a gate of fuzzy rules before they cost a measurement."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from nasengine.architecture import Architecture
from nasengine.protocols import Evaluation, SearchSpace
from nasengine.strategies.genes import identity_of
from nasengine.strategies.similarity_gate import GateConfig, SimilarityGate
from nasengine.strategies.unseen import Identity, SeenArchitectures


@dataclass(frozen=True, slots=True)
class Member:
    """A living architecture, its value and its number among all that were measured."""

    value: float
    architecture: Architecture
    index: int


class FuzzyEvolution:
    """Ageing evolution (Real et al., 2019, arXiv 1802.01548) that skips children it expects to be poor.

    A child is judged by measured architectures with similar genes: if their weighted mean falls below a quantile of the
    population it is skipped. Fuzzy rules (``gate_rules.RULES``) choose the quantile.

    Args:
        space: gives first members, mutations and crossovers.
        rng: source of randomness.
        num_random: architectures drawn before evolution begins.
        population_size: members alive, at most.
        sample_size: members among which a parent is picked.
        crossover_share: chance that a child has two parents instead of a mutation.
        metric: what is to be large.
        gate: settings of the gate.
        identity: equal for architectures that count as one; none of them is proposed twice.

    >>> from search_spaces.nasbench_macro import NASBENCH_MACRO as space
    >>> strategy = FuzzyEvolution(space, random.Random(0))
    >>> for _ in range(120):
    ...     (found,) = strategy.ask(1)
    ...     strategy.tell([Evaluation(found, {"accuracy": space.format(found).count("1") / 8})])
    >>> max(member.value for member in strategy.population) > 0.8
    True
    """

    def __init__(
        self,
        space: SearchSpace,
        rng: random.Random,
        *,
        num_random: int = 15,
        population_size: int = 50,
        sample_size: int = 15,
        crossover_share: float = 0.3,
        metric: str = "accuracy",
        gate: GateConfig | None = None,
        identity: Identity = identity_of,
    ) -> None:
        self.space, self.rng, self.metric = space, rng, metric
        self.num_random, self.sample_size, self.crossover_share = num_random, sample_size, crossover_share
        self.population: deque[Member] = deque(maxlen=population_size)
        self.gate = SimilarityGate(rng, gate or GateConfig())
        self.seen = SeenArchitectures(space, rng, identity)
        self._asked = 0

    def ask(self, count: int) -> list[Architecture]:
        """Propose random architectures at first, then children that pass the gate."""
        return [self._propose() for _ in range(count)]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Add measured architectures; failed ones do not live, but are not proposed again either."""
        for evaluation in evaluations:
            architecture = evaluation.architecture
            self.seen.add(architecture)
            if evaluation.failure is None:
                value = evaluation.metrics[self.metric]
                self.population.append(Member(value, architecture, len(self.gate)))
                self.gate.add(identity_of(architecture), value)

    def _propose(self) -> Architecture:
        self._asked += 1
        if self._asked <= self.num_random or not self.population:
            chosen = self.seen.first_unseen(lambda: self.space.sample(self.rng))
        else:
            chosen = self._gated_child()
        self.seen.add(chosen)
        return chosen

    def _gated_child(self) -> Architecture:
        """The first child that passes, or the one with the best estimate of many that do not."""
        living = [member.value for member in self.population]
        threshold = self.gate.threshold([member.index for member in self.population])
        skipped: list[tuple[float, Architecture]] = []
        while len(skipped) < self.gate.config.max_skips:
            child = self.seen.first_unseen(self._child)
            estimate = self.gate.estimate(identity_of(child), threshold)
            if estimate is None or self.gate.passes(estimate, living):
                return child
            skipped.append((estimate.mean, child))
        return max(skipped, key=lambda entry: entry[0])[1]

    def _child(self) -> Architecture:
        parent = self._parent()
        if self.rng.random() < self.crossover_share:
            return self.space.crossover(parent, self._parent(), self.rng)
        return self.space.mutate(parent, self.rng)

    def _parent(self) -> Architecture:
        rivals = self.rng.sample(list(self.population), min(self.sample_size, len(self.population)))
        return max(rivals, key=lambda member: member.value).architecture
