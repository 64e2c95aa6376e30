"""Measuring architectures and networks."""

from nasengine.evaluation.accuracy import Measurement, accuracy, measure
from nasengine.evaluation.network_training import NetworkTraining
from nasengine.evaluation.shared_weights import SharedWeightsEvaluator
from nasengine.evaluation.successive_halving import SuccessiveHalving

__all__ = [
    "Measurement",
    "NetworkTraining",
    "SharedWeightsEvaluator",
    "SuccessiveHalving",
    "accuracy",
    "measure",
]
