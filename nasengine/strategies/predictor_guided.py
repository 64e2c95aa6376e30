"""Search that measures what a predictor thinks best, and teaches it what came out.

White, Neiswanger and Savani, 2021 (arXiv 1910.11858, "BANANAS") and Dudziak et al., 2020 (arXiv 2007.08668, "BRP-NAS"):
a predictor ranks many candidates, the best are measured, and the predictor is fitted again.
"""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy

from nasengine.architecture import Architecture
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import Evaluation, NetworkConfig, Predictor, SearchSpace
from nasengine.strategies.acquisition import Acquisition, expected_improvement
from nasengine.strategies.candidates import Candidates
from nasengine.strategies.genes import GeneTable, identity_of
from nasengine.strategies.unseen import SeenArchitectures

_FEWEST_LABELS = 3
_MAX_LOOKED_AT = 200
_NUM_EXAMPLES = 50
_SHARE_OF_NEIGHBOURS = 5


@dataclass(frozen=True)
class GuidanceConfig:
    """Settings of the search.

    Args:
        num_first: measurements before the predictor is fitted for the first time.
        refit_every: measurements between two fits.
        pool_size: candidates that are scored; a space of at most as many is scored whole.
        num_parents: measured architectures whose neighbours join the pool before each fit, the best first.
        largest_similarity: proposals between two fits have at most this share of genes in common, while others are
            left among the next best.
        metric: what is to be large.
    """

    num_first: int = 10
    refit_every: int = 5
    pool_size: int = 300
    num_parents: int = 10
    largest_similarity: float = 0.9
    metric: str = "accuracy"


class PredictorGuided:
    """Proposes the candidates with the largest acquisition, different from one another.

    Args:
        space: what is searched.
        rng: source of randomness.
        predictor: scores graphs; it is fitted again and again.
        is_pretrained: whether it can predict before it was fitted; the first proposals are random otherwise.
        acquisition: how predictions are ranked; before the first fit it is the mean that counts.
        network: sizes of the networks that the predictor sees; the space's defaults by default.
        candidates: what to choose from, instead of a pool of its own; share one among searches of one space.
        config: further settings.
    """

    def __init__(
        self,
        space: SearchSpace,
        rng: random.Random,
        *,
        predictor: Predictor,
        is_pretrained: bool = False,
        acquisition: Acquisition = expected_improvement,
        network: NetworkConfig | None = None,
        candidates: Candidates | None = None,
        config: GuidanceConfig | None = None,
    ) -> None:
        self.space, self.rng, self.predictor, self.acquisition = space, rng, predictor, acquisition
        self.network, self.config = network or space.defaults, config or GuidanceConfig()
        self.seen = SeenArchitectures(space, rng)
        self.is_pretrained = is_pretrained
        self.candidates = candidates
        self._is_own_pool = candidates is None
        self._measured: list[tuple[Architecture, float]] = []
        self._graphs: dict[Architecture, ComputationGraph] = {}
        self._num_taught = 0
        self._ranking: numpy.ndarray | None = None
        self._genes = GeneTable()
        self._num_recent = 0

    def ask(self, count: int) -> list[Architecture]:
        """Propose the best unseen candidates; random ones while the predictor cannot predict."""
        return [self._propose() for _ in range(count)]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Add measured architectures; failed ones teach nothing and are not proposed again."""
        for evaluation in evaluations:
            self.seen.add(evaluation.architecture)
            if evaluation.failure is None:
                self._measured.append((evaluation.architecture, evaluation.metrics[self.config.metric]))

    def _propose(self) -> Architecture:
        if self._is_fit_due():
            self._fit()
        elif self._ranking is None and self.is_pretrained:
            self._rank(self.predictor.predict(self._pool().graphs).mean)
        chosen = None if self._ranking is None else self._best_unseen(self._ranking)
        if chosen is None:
            chosen = self.seen.first_unseen(lambda: self.space.sample(self.rng))
        self.seen.add(chosen)
        self._genes.add(identity_of(chosen))
        self._num_recent += 1
        return chosen

    def _is_fit_due(self) -> bool:
        if self._num_taught == 0:
            return len(self._measured) >= max(self.config.num_first, _FEWEST_LABELS)
        return len(self._measured) - self._num_taught >= self.config.refit_every

    def _fit(self) -> None:
        self.predictor.fit([self._graph(found) for found, _ in self._measured], [value for _, value in self._measured])
        self._num_taught = len(self._measured)
        if self._is_own_pool and not self._pool().is_whole_space:
            self._renew_pool()
        best = max(value for _, value in self._measured)
        self._rank(self.acquisition(self.predictor.predict(self._pool().graphs), best))

    def _rank(self, scores: numpy.ndarray) -> None:
        self._ranking = numpy.argsort(-scores, kind="stable")
        self._num_recent = 0

    def _best_unseen(self, ranking: numpy.ndarray) -> Architecture | None:
        """The best that is not too similar to what was proposed since the last fit; otherwise the best."""
        every = (self._pool().architectures[index] for index in ranking)
        unseen = islice((found for found in every if found not in self.seen), _MAX_LOOKED_AT)
        best = None
        for found in unseen:
            best = best or found
            if self._is_different(found):
                return found
        return best

    def _is_different(self, architecture: Architecture) -> bool:
        if self._num_recent == 0:
            return True
        similarities = self._genes.similarities(identity_of(architecture))[-self._num_recent :]
        return bool(similarities.max() <= self.config.largest_similarity)

    def _pool(self) -> Candidates:
        if self.candidates is None:
            self.candidates = Candidates.drawn_from(self.space, self.rng, self.config.pool_size, self.network)
        if len(self._genes) == 0:
            for found in self.candidates.architectures[:: max(1, len(self.candidates) // _NUM_EXAMPLES)]:
                self._genes.add(identity_of(found))  # shows which genes vary at all
        return self.candidates

    def _renew_pool(self) -> None:
        """Neighbours of the best measured take the places of the last in the ranking."""
        pool = self._pool()
        parents = heapq.nlargest(self.config.num_parents, self._measured, key=lambda entry: entry[1])
        num_new = self.config.pool_size // _SHARE_OF_NEIGHBOURS
        children = dict.fromkeys(
            self.space.mutate(parents[index % len(parents)][0], self.rng) for index in range(num_new)
        )
        ranking = range(len(pool)) if self._ranking is None else self._ranking.tolist()
        keep = list(ranking)[: self.config.pool_size - len(children)]
        self.candidates = pool.with_others(keep, Candidates.of(self.space, children, self.network))

    def _graph(self, architecture: Architecture) -> ComputationGraph:
        """Of a measured architecture; taken from the pool where it is there."""
        if architecture not in self._graphs:
            pool = self._pool()
            index = pool.index_by_architecture.get(architecture)
            self._graphs[architecture] = (
                self.space.to_graph(architecture, self.network) if index is None else pool.graphs[index]
            )
        return self._graphs[architecture]
