"""The searches that ``nasengine bench constrained`` compares, under a cap of latency and for trade-offs."""

import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from benchmarks.device_tables import DeviceTable
from nasengine.architecture import Architecture
from nasengine.protocols import Evaluation, Strategy
from nasengine.strategies import (
    Constraints,
    GuidanceConfig,
    Objective,
    ParetoEvolution,
    ParetoGuided,
    PredictorGuided,
    RandomStrategy,
    RegularizedEvolution,
)
from predictors.gaussian_process import GraphGaussianProcess
from predictors.latency.latency_predictor import LatencyPredictor

Method = Callable[[DeviceTable, Constraints, random.Random], Strategy]
ACCURACY, LATENCY = Objective("accuracy", "max"), Objective("latency_ms", "min")
NUM_AHEAD = 100
REFERENCE = MappingProxyType({"accuracy": 0.8, "latency_ms": 100.0})
"""Trade-offs beyond these are worth nothing: poor networks that any search finds would fill the volume otherwise."""


class SkipsInfeasible:
    """Hides from a strategy what exceeds the limits, as if it had failed."""

    def __init__(self, strategy: Strategy, constraints: Constraints) -> None:
        self.strategy, self.constraints = strategy, constraints

    def ask(self, count: int) -> list[Architecture]:
        """Pass on proposals."""
        return self.strategy.ask(count)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Pass on what keeps the limits."""
        self.strategy.tell([self._seen(found) for found in evaluations])

    def _seen(self, found: Evaluation) -> Evaluation:
        excess = self.constraints.violation(found.metrics)
        return found if excess == 0 else Evaluation(found.architecture, {}, failure="exceeds the limits")


def latency_predictor(table: DeviceTable) -> LatencyPredictor:
    """One that shares features with all others."""
    return LatencyPredictor(features=table.latency_features)


def fitted_ahead(table: DeviceTable, rng: random.Random) -> LatencyPredictor:
    """A latency predictor that knows 100 random networks of the device, whose accuracy nobody asked for."""
    candidates = table.accuracies.candidates
    places = rng.sample(range(len(candidates)), min(NUM_AHEAD, len(candidates)))
    predictor = latency_predictor(table)
    labels = [table.latency_ms[candidates.architectures[place]] for place in places]
    predictor.fit([candidates.graphs[place] for place in places], labels)
    return predictor


def _regularized_evolution(table: DeviceTable, limits: Constraints, rng: random.Random) -> Strategy:
    evolution = RegularizedEvolution(table.accuracies.space, rng, population_size=20, sample_size=10)
    return SkipsInfeasible(evolution, limits)


def _nsga2(population_size: int, *objectives: Objective) -> Method:
    return lambda table, limits, rng: ParetoEvolution(
        table.accuracies.space, rng, objectives=objectives, constraints=limits, population_size=population_size
    )


def _guided(is_ahead: bool) -> Method:
    def make(table: DeviceTable, limits: Constraints, rng: random.Random) -> Strategy:
        predictor = fitted_ahead(table, rng) if is_ahead else latency_predictor(table)
        return PredictorGuided(
            table.accuracies.space, rng, predictor=GraphGaussianProcess(table.accuracies.features), constraints=limits,
            cost_predictors={"latency_ms": predictor}, pretrained_costs=("latency_ms",) if is_ahead else (),
            candidates=table.accuracies.candidates, config=GuidanceConfig(num_first=10 if is_ahead else 20),
        )  # fmt: skip

    return make


def _pareto_guided(is_ahead: bool) -> Method:
    def make(table: DeviceTable, limits: Constraints, rng: random.Random) -> Strategy:
        latency = fitted_ahead(table, rng) if is_ahead else latency_predictor(table)
        return ParetoGuided(
            table.accuracies.space, rng, objectives=(ACCURACY, LATENCY), constraints=limits, reference=REFERENCE,
            predictors={"accuracy": GraphGaussianProcess(table.accuracies.features), "latency_ms": latency},
            pretrained=("latency_ms",) if is_ahead else (), candidates=table.accuracies.candidates,
            config=GuidanceConfig(num_first=10 if is_ahead else 20),
        )  # fmt: skip

    return make


def _random(table: DeviceTable, limits: Constraints, rng: random.Random) -> Strategy:
    return RandomStrategy(table.accuracies.space, rng)


UNDER_A_CAP: Mapping[str, Method] = MappingProxyType({
    "random": _random,
    "regularized_evolution": _regularized_evolution,
    "nsga2": _nsga2(20, ACCURACY),
    "guided": _guided(is_ahead=False),
    "guided_ahead": _guided(is_ahead=True),
})  # fmt: skip
"""``nsga2`` has accuracy as its one objective and the cap as its limit; ``guided`` learns latencies from its own
evaluations, the first 20 of which are random; ``guided_ahead`` from 100 other networks, before the first evaluation. Of
10 and 20 parents of ``nsga2`` the better on seeds 100 to 105 is taken, here and for trade-offs."""

FOR_TRADE_OFFS: Mapping[str, Method] = MappingProxyType({
    "random": _random,
    "nsga2": _nsga2(10, ACCURACY, LATENCY),
    "pareto_guided": _pareto_guided(is_ahead=False),
    "pareto_guided_ahead": _pareto_guided(is_ahead=True),
})  # fmt: skip
