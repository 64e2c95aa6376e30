"""Measuring architectures and networks."""

from nasengine.evaluation.accuracy import accuracy
from nasengine.evaluation.network_training import NetworkTraining
from nasengine.evaluation.shared_weights import SharedWeightsEvaluator
from nasengine.evaluation.successive_halving import SuccessiveHalving

__all__ = ["NetworkTraining", "SharedWeightsEvaluator", "SuccessiveHalving", "accuracy"]
