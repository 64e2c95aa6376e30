"""What people want to see of many trade-offs: those that nothing beats, and the one where more costs most."""

import numpy

from nasengine.errors import ConfigError
from nasengine.strategies.non_dominated_sorting import front_numbers

_FLAT = 1e-12


def front(points: numpy.ndarray) -> numpy.ndarray:
    """Places of the points that no other dominates, in their order; all objectives are to be large.

    >>> front(numpy.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])).tolist()
    [0, 1]
    """
    return numpy.flatnonzero(front_numbers(points) == 0) if len(points) else numpy.zeros(0, int)


def knee(points: numpy.ndarray) -> int:
    """Place of the point of the front that bulges furthest from the line, or plane, through the front's ends.

    Das, 1999 ("On characterizing the knee of the Pareto curve", Structural Optimization 18): from there, a little more
    of one objective costs much of another. Objectives are first brought to 0 (worst of the front) to 1 (best), since
    they have different units. An end is the best point in one objective; where ends do not fix a plane that slopes down
    in all objectives, the plane through (1, 0, ...), (0, 1, 0, ...) and so on stands for it. Where nothing bulges, an
    end is the answer.

    Args:
        points: (num_points, num_objectives), dominated or not; all objectives are to be large.

    Raises:
        ConfigError: there is no point.

    >>> knee(numpy.array([[0.0, 10.0], [4.0, 9.0], [6.0, 3.0], [10.0, 0.0]]))
    1
    """
    if len(points) == 0:
        raise ConfigError("knee: expected at least one point, got none")
    places = front(points)
    best = points[places]
    extent = numpy.ptp(best, axis=0)
    scaled = (best - best.min(axis=0)) / numpy.where(extent > _FLAT, extent, 1.0)
    return int(places[numpy.argmax(scaled @ _slope(scaled))])


def _slope(scaled: numpy.ndarray) -> numpy.ndarray:
    """Normal of the plane through the ends of a front."""
    ends = scaled[[_end(scaled, column) for column in range(scaled.shape[1])]]
    if numpy.linalg.matrix_rank(ends) == len(ends):
        normal = numpy.linalg.solve(ends, numpy.ones(len(ends)))
        if (normal > 0).all():
            return normal
    return numpy.ones(scaled.shape[1])


def _end(scaled: numpy.ndarray, column: int) -> int:
    """The best in one objective; of equals, the best in sum."""
    return int(numpy.lexsort((-scaled.sum(axis=1), -scaled[:, column]))[0])
