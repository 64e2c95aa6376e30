"""How much an architecture is worth measuring, by what a predictor says of it."""

from collections.abc import Callable

import numpy

from nasengine.protocols import Prediction

Acquisition = Callable[[Prediction, float], numpy.ndarray]
"""Takes a prediction and the best value so far; larger is better."""


def expected_improvement(prediction: Prediction, best: float) -> numpy.ndarray:
    """Mean gain over the best value of a normal distribution (Mockus, 1974; Jones et al., 1998, equation 15).

    >>> expected_improvement(Prediction(numpy.array([0.0]), numpy.array([1.0])), 0.0).round(4).tolist()
    [0.3989]
    """
    from scipy.special import ndtr

    gain = prediction.mean - best
    std = numpy.maximum(prediction.std, 1e-12)
    density = numpy.exp(-0.5 * (gain / std) ** 2) / numpy.sqrt(2 * numpy.pi)
    return numpy.asarray(gain * ndtr(gain / std) + std * density)


def upper_confidence_bound(weight: float = 1.0) -> Acquisition:
    """Mean plus ``weight`` standard deviations (Srinivas et al., 2010, arXiv 0912.3995).

    >>> upper_confidence_bound(2.0)(Prediction(numpy.array([0.5]), numpy.array([0.1])), 0.0).tolist()
    [0.7]
    """
    return lambda prediction, best: prediction.mean + weight * prediction.std
