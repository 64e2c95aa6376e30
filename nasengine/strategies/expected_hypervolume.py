"""How much volume a network is expected to add to a front (Emmerich, Giannakoglou and Naujoks, 2006).

The gain of a point is the volume that it dominates and the front does not. With independent normal predictions its mean
is exact: over each box that tiles what the front leaves free (Yang, Emmerich, Deutz and Baeck, 2019, arXiv 1904.12672)
it is a product over objectives of a difference of two expected improvements, over the box's lower and upper end.
"""

from collections.abc import Sequence

import numpy

from nasengine.protocols import Prediction
from nasengine.strategies.acquisition import expected_improvement
from nasengine.strategies.hypervolume import undominated_boxes


def expected_hypervolume_improvement(
    predictions: Sequence[Prediction], front: numpy.ndarray, reference: Sequence[float]
) -> numpy.ndarray:
    """Mean gain of each network, (num_networks,).

    Args:
        predictions: of each objective, all to be large.
        front: what was measured, (num_points, num_objectives).
        reference: a point that is worse than all that count.

    >>> sure = [Prediction(numpy.array(means), numpy.zeros(2)) for means in ([3.0, 1.0], [2.0, 1.0])]
    >>> expected_hypervolume_improvement(sure, numpy.array([[2.0, 1.0]]), (0.0, 0.0)).round(9).tolist()
    [4.0, 0.0]
    """
    lows, highs = undominated_boxes(front, reference)
    gains = numpy.ones((len(lows), len(predictions[0].mean)))
    for column, prediction in enumerate(predictions):
        bounds, places = numpy.unique(numpy.concatenate([lows[:, column], highs[:, column]]), return_inverse=True)
        above = numpy.stack([_mean_above(prediction, float(bound)) for bound in bounds])
        low, high = places.reshape(2, -1)
        gains *= numpy.maximum(above[low] - above[high], 0.0)
    return numpy.asarray(gains.sum(axis=0))


def _mean_above(prediction: Prediction, bound: float) -> numpy.ndarray:
    if bound == numpy.inf:
        return numpy.zeros(len(prediction.mean))
    return expected_improvement(prediction, bound)
