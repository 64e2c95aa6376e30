"""How good a set of trade-offs between two objectives is (Zitzler and Thiele, 1999)."""

import numpy


def hypervolume(points: numpy.ndarray, reference: tuple[float, float]) -> float:
    """Area that two-dimensional points dominate, down to a reference; both objectives are to be large.

    Args:
        points: any, dominated or not, (num_points, 2); those that are not better than the reference add nothing.
        reference: a point that is worse than all that count.

    >>> hypervolume(numpy.array([[2.0, 1.0], [1.0, 3.0], [0.5, 0.5]]), (0.0, 0.0))
    4.0
    """
    low = numpy.asarray(reference, dtype=float)
    above = points[(points > low).all(axis=1)]
    above = above[numpy.lexsort((-above[:, 1], -above[:, 0]))]  # from the largest first objective down
    area, height = 0.0, float(low[1])
    for first, second in above.tolist():
        if second > height:
            area += (first - float(low[0])) * (second - height)
            height = second
    return area
