"""Strategies: they propose architectures and learn from evaluations."""

from nasengine.strategies.acquisition import expected_improvement, upper_confidence_bound
from nasengine.strategies.candidates import Candidates
from nasengine.strategies.expected_hypervolume import expected_hypervolume_improvement
from nasengine.strategies.fuzzy_evolution import FuzzyEvolution
from nasengine.strategies.hypervolume import hypervolume
from nasengine.strategies.measurements import GRAPH_METRICS
from nasengine.strategies.objectives import ACCURACY_AND_MACS, Objective
from nasengine.strategies.pareto import ParetoEvolution
from nasengine.strategies.pareto_guided import ParetoGuided
from nasengine.strategies.pre_filter import PreFilter
from nasengine.strategies.predictor_guided import PredictorGuided
from nasengine.strategies.proposal_pool import GuidanceConfig
from nasengine.strategies.random import RandomStrategy
from nasengine.strategies.regularized_evolution import RegularizedEvolution
from nasengine.strategies.similarity_gate import GateConfig
from nasengine.strategies.trade_offs import front, knee
from nasengine.strategies.within_limits import WithinLimits
from nasengine.targets.constraints import NO_LIMITS, Constraint, Constraints

__all__ = [
    "ACCURACY_AND_MACS",
    "GRAPH_METRICS",
    "NO_LIMITS",
    "Candidates",
    "Constraint",
    "Constraints",
    "FuzzyEvolution",
    "GateConfig",
    "GuidanceConfig",
    "Objective",
    "ParetoEvolution",
    "ParetoGuided",
    "PreFilter",
    "PredictorGuided",
    "RandomStrategy",
    "RegularizedEvolution",
    "WithinLimits",
    "expected_hypervolume_improvement",
    "expected_improvement",
    "front",
    "hypervolume",
    "knee",
    "upper_confidence_bound",
]
