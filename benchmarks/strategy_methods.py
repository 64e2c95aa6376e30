"""The strategies that ``nasengine bench strategy`` compares.

A predictor that can predict before it is fitted is called once for all searches of a table (``informed``).
"""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType

import numpy

from benchmarks.search_tables import SearchTable
from nasengine.graph import ComputationGraph, cost
from nasengine.protocols import Prediction, Strategy
from nasengine.strategies import (
    FuzzyEvolution,
    GateConfig,
    PredictorGuided,
    RandomStrategy,
    RegularizedEvolution,
    expected_improvement,
    upper_confidence_bound,
)
from nasengine.strategies.acquisition import Acquisition
from predictors.gaussian_process import FeatureBlocks, GraphGaussianProcess

Method = Callable[[SearchTable, random.Random], Strategy]
ZeroShot = Callable[[Sequence[ComputationGraph]], Prediction]


class InformedProcess:
    """A predictor that knows a score before it has seen a label; then the score is one more feature.

    Args:
        table: what is searched; its features are shared.
        scores: of all its candidates.
    """

    def __init__(self, table: SearchTable, scores: Prediction) -> None:
        self.table, self.scores = table, scores
        self.process = GraphGaussianProcess(self._features)
        self._is_fitted = False

    def fit(self, graphs: Sequence[ComputationGraph], targets: Sequence[float]) -> None:
        """Learn from measured graphs."""
        self.process.fit(graphs, targets)
        self._is_fitted = True

    def predict(self, graphs: Sequence[ComputationGraph]) -> Prediction:
        """The scores that were known at the start; after a fit, the process."""
        if self._is_fitted:
            return self.process.predict(graphs)
        rows = self.table.rows(graphs)
        return Prediction(self.scores.mean[rows], self.scores.std[rows])

    def _features(self, graphs: Sequence[ComputationGraph]) -> FeatureBlocks:
        return (*self.table.features(graphs), self.scores.mean[self.table.rows(graphs)][:, None])


def informed(zero_shot: ZeroShot) -> Method:
    """Guidance by a score that needs no labels, at first alone; each table's candidates are scored once."""

    @cache
    def scores_of(table: SearchTable) -> Prediction:
        return zero_shot(table.candidates.graphs)

    def make(table: SearchTable, rng: random.Random) -> Strategy:
        predictor = InformedProcess(table, scores_of(table))
        return PredictorGuided(
            table.space, rng, predictor=predictor, is_pretrained=True, candidates=table.candidates
        )  # fmt: skip

    return make


def _guided(acquisition: Acquisition) -> Method:
    def make(table: SearchTable, rng: random.Random) -> Strategy:
        predictor = GraphGaussianProcess(table.features)
        return PredictorGuided(
            table.space, rng, predictor=predictor, acquisition=acquisition, candidates=table.candidates
        )

    return make


def _macs(graphs: Sequence[ComputationGraph]) -> Prediction:
    logs = numpy.array([numpy.log(cost(graph).macs) for graph in graphs])
    return Prediction(logs, numpy.zeros(len(logs)))


def _gennape(graphs: Sequence[ComputationGraph]) -> Prediction:
    """The shipped predictor, with random candidates as its reference pool."""
    from predictors.gennape.gennape import Gennape

    predictor = Gennape.load_pretrained()
    predictor.adapt(random.Random(0).sample(list(graphs), min(1000, len(graphs))))
    return predictor.predict(graphs)


METHODS: Mapping[str, Method] = MappingProxyType({
    "random": lambda table, rng: RandomStrategy(table.space, rng),
    "regularized_evolution": lambda table, rng: RegularizedEvolution(
        table.space, rng, population_size=20, sample_size=10
    ),
    "ungated_evolution": lambda table, rng: FuzzyEvolution(table.space, rng, gate=GateConfig(exempt_share=1.0)),
    "fuzzy_evolution": lambda table, rng: FuzzyEvolution(table.space, rng),
    "predictor_guided": _guided(expected_improvement),
    "predictor_guided_bound": _guided(upper_confidence_bound(1.0)),
    "predictor_guided_macs": informed(_macs),
    "predictor_guided_gennape": informed(_gennape),
})  # fmt: skip
"""``ungated_evolution`` is fuzzy evolution that lets every child pass. ``predictor_guided`` picks by expected
improvement, ``predictor_guided_bound`` by mean plus standard deviation; ``predictor_guided_macs`` measures the largest
networks first, ``predictor_guided_gennape`` those that the shipped predictor finds best."""
SEEN_BY_THE_SHIPPED_PREDICTOR = frozenset({("nasbench_macro", "predictor_guided_gennape")})
"""Spaces and methods that are not run together: the shipped predictor was trained on these labels."""
