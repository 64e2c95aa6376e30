"""Measuring architectures and networks."""

from nasengine.evaluation.accuracy import Measurement, accuracy, measure
from nasengine.evaluation.network_training import NetworkTraining
from nasengine.evaluation.shared_weights import SharedWeightsEvaluator
from nasengine.evaluation.successive_halving import Contender, RoundLengths, SuccessiveHalving

__all__ = [
    "Contender",
    "Measurement",
    "NetworkTraining",
    "RoundLengths",
    "SharedWeightsEvaluator",
    "SuccessiveHalving",
    "accuracy",
    "measure",
]
