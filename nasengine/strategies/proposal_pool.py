"""What a guided search chooses from: candidates by their promise, and no two alike between two rankings."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy

from nasengine.architecture import Architecture
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import NetworkConfig, SearchSpace
from nasengine.strategies.candidates import Candidates
from nasengine.strategies.genes import GeneTable, identity_of
from nasengine.strategies.unseen import SeenArchitectures

_MAX_LOOKED_AT = 200
_NUM_EXAMPLES = 50
_SHARE_OF_NEIGHBOURS = 5


@dataclass(frozen=True)
class GuidanceConfig:
    """Settings of a search with predictors.

    Args:
        num_first: measurements before the predictor is fitted for the first time.
        refit_every: measurements between two fits.
        pool_size: candidates that are scored; a space of at most as many is scored whole.
        num_parents: measured architectures whose neighbours join the pool before each fit, the best first.
        largest_similarity: proposals between two fits have at most this share of genes in common, while others are
            left among the next best.
        metric: what is to be large, where one thing counts.
        num_first_costs: measurements of a latency or size before its predictor is fitted for the first time.
    """

    num_first: int = 10
    refit_every: int = 5
    pool_size: int = 300
    num_parents: int = 10
    largest_similarity: float = 0.9
    metric: str = "accuracy"
    num_first_costs: int = 20


class ProposalPool:
    """Candidates, drawn when they are first asked for; proposals are random until there is a ranking.

    Args:
        space: what is searched.
        rng: source of randomness.
        config: sizes.
        network: sizes of the networks whose graphs count.
        candidates: what to choose from, instead of a pool of its own.
    """

    def __init__(
        self,
        space: SearchSpace,
        rng: random.Random,
        config: GuidanceConfig,
        *,
        network: NetworkConfig,
        candidates: Candidates | None = None,
    ) -> None:
        self.space, self.rng, self.config, self.network = space, rng, config, network
        self.seen = SeenArchitectures(space, rng)
        self.candidates = candidates
        self.ranking: numpy.ndarray | None = None
        self._is_own = candidates is None
        self._graphs: dict[Architecture, ComputationGraph] = {}
        self._genes = GeneTable()
        self._num_recent = 0

    def known(self) -> Candidates:
        """The candidates."""
        if self.candidates is None:
            self.candidates = Candidates.drawn_from(self.space, self.rng, self.config.pool_size, self.network)
        if len(self._genes) == 0:
            for found in self.candidates.architectures[:: max(1, len(self.candidates) // _NUM_EXAMPLES)]:
                self._genes.add(identity_of(found))  # shows which genes vary at all
        return self.candidates

    def graph_of(self, architecture: Architecture) -> ComputationGraph:
        """Of a measured architecture; taken from the candidates where it is there."""
        if architecture not in self._graphs:
            pool = self.known()
            index = pool.index_by_architecture.get(architecture)
            self._graphs[architecture] = (
                self.space.to_graph(architecture, self.network) if index is None else pool.graphs[index]
            )
        return self._graphs[architecture]

    def rank(self, *scores: numpy.ndarray) -> None:
        """Propose by the largest first score from now on, among equals by the next score, then in their order."""
        self.ranking = numpy.lexsort([-column for column in reversed(scores)])
        self._num_recent = 0

    def propose(self) -> Architecture:
        """The best unseen candidate that differs from those since the ranking; a random one without a ranking."""
        chosen = None if self.ranking is None else self._best_unseen(self.ranking)
        if chosen is None:
            chosen = self.seen.first_unseen(lambda: self.space.sample(self.rng))
        self.seen.add(chosen)
        self._genes.add(identity_of(chosen))
        self._num_recent += 1
        return chosen

    def renew(self, parents: Sequence[Architecture]) -> None:
        """Neighbours of good architectures take the places of the last in the ranking, in a pool that is our own."""
        pool = self.known()
        if not self._is_own or pool.is_whole_space:
            return
        num_new = self.config.pool_size // _SHARE_OF_NEIGHBOURS
        children = dict.fromkeys(self.space.mutate(parents[index % len(parents)], self.rng) for index in range(num_new))
        ranking = range(len(pool)) if self.ranking is None else self.ranking.tolist()
        keep = list(ranking)[: self.config.pool_size - len(children)]
        self.candidates = pool.with_others(keep, Candidates.of(self.space, children, self.network))

    def _best_unseen(self, ranking: numpy.ndarray) -> Architecture | None:
        """The best that is not too similar to what was proposed since the ranking; otherwise the best."""
        every = (self.known().architectures[index] for index in ranking)
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
