"""How good a set of trade-offs is: the volume that it dominates (Zitzler and Thiele, 1999).

Both the volume and what is left outside are found by slicing: between two levels of the last objective, the same
question is asked of the points that reach above the slice, without that objective.
"""

from collections.abc import Iterator, Sequence

import numpy


def hypervolume(points: numpy.ndarray, reference: Sequence[float]) -> float:
    """Volume that points dominate, down to a reference; all objectives are to be large.

    Args:
        points: any, dominated or not, (num_points, num_objectives); those that are not better than the reference add
            nothing.
        reference: a point that is worse than all that count.

    >>> hypervolume(numpy.array([[2.0, 1.0], [1.0, 3.0], [0.5, 0.5]]), (0.0, 0.0))
    4.0
    >>> hypervolume(numpy.array([[1.0, 2.0, 3.0], [2.0, 1.0, 1.0]]), (0.0, 0.0, 0.0))
    7.0
    """
    low = numpy.asarray(reference, dtype=float)
    return _volume(points[(points > low).all(axis=1)], low)


def undominated_boxes(points: numpy.ndarray, reference: Sequence[float]) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Boxes that tile what lies above a reference and is dominated by no point; some are open to infinity.

    Returns:
        The lower and the upper corners, (num_boxes, num_objectives) each.

    >>> low, high = undominated_boxes(numpy.array([[2.0, 1.0]]), (0.0, 0.0))
    >>> low.tolist(), high.tolist()
    ([[2.0, 0.0], [0.0, 1.0]], [[inf, 1.0], [inf, inf]])
    """
    low = numpy.asarray(reference, dtype=float)
    if len(low) == 1:
        return points.max(axis=0, initial=low[0])[None], numpy.array([[numpy.inf]])
    lows, highs = [], []
    for level, following, above in _slices(points, low):
        own_lows, own_highs = undominated_boxes(above, low[:-1].tolist())
        lows.append(numpy.column_stack([own_lows, numpy.full(len(own_lows), level)]))
        highs.append(numpy.column_stack([own_highs, numpy.full(len(own_lows), following)]))
    return numpy.vstack(lows), numpy.vstack(highs)


def _volume(points: numpy.ndarray, low: numpy.ndarray) -> float:
    if len(low) == 1:
        return float(points.max(initial=low[0]) - low[0])
    slices = ((following - level, above) for level, following, above in _slices(points, low) if len(above) > 0)
    return sum((height * _volume(above, low[:-1]) for height, above in slices), 0.0)


def _slices(points: numpy.ndarray, low: numpy.ndarray) -> Iterator[tuple[float, float, numpy.ndarray]]:
    """From the bottom up: where a slice begins and ends, and the points above it without their last objective."""
    last = points[:, -1]
    levels = numpy.unique([low[-1], *last[last > low[-1]]]).tolist()
    for level, following in zip(levels, [*levels[1:], numpy.inf], strict=True):
        yield level, following, points[last > level, :-1]
