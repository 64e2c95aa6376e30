"""Strategies: they propose architectures and learn from evaluations."""

from nasengine.strategies.random import RandomStrategy
from nasengine.strategies.regularized_evolution import RegularizedEvolution

__all__ = ["RandomStrategy", "RegularizedEvolution"]
