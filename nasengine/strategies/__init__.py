"""Strategies: they propose architectures and learn from evaluations."""

from nasengine.strategies.acquisition import expected_improvement, upper_confidence_bound
from nasengine.strategies.candidates import Candidates
from nasengine.strategies.fuzzy_evolution import FuzzyEvolution
from nasengine.strategies.hypervolume import hypervolume
from nasengine.strategies.pareto import Objective, ParetoEvolution
from nasengine.strategies.predictor_guided import GuidanceConfig, PredictorGuided
from nasengine.strategies.random import RandomStrategy
from nasengine.strategies.regularized_evolution import RegularizedEvolution
from nasengine.strategies.similarity_gate import GateConfig
from nasengine.strategies.within_limits import WithinLimits

__all__ = [
    "Candidates",
    "FuzzyEvolution",
    "GateConfig",
    "GuidanceConfig",
    "Objective",
    "ParetoEvolution",
    "PredictorGuided",
    "RandomStrategy",
    "RegularizedEvolution",
    "WithinLimits",
    "expected_improvement",
    "hypervolume",
    "upper_confidence_bound",
]
