"""Which of many points are best when several things count (Deb, Pratap, Agarwal and Meyarivan, 2002, NSGA-II).

Points are rows of an array; every column is to be large. Where there are limits, ``violations`` says by how much each
point exceeds them: constrained domination of section VI.
"""

import numpy


def dominance(points: numpy.ndarray, violations: numpy.ndarray | None = None) -> numpy.ndarray:
    """Whether each point dominates each other: nowhere worse and somewhere better, (num_points, num_points).

    With violations, a smaller one dominates a larger one, whatever the objectives; they count among points that keep
    all limits.

    >>> dominance(numpy.array([[1.0], [2.0], [3.0]]), numpy.array([0.0, 0.1, 0.2])).tolist()
    [[False, True, True], [False, False, True], [False, False, False]]
    """
    no_worse = numpy.all(points[:, None] >= points, axis=2)
    better = numpy.asarray(no_worse & numpy.any(points[:, None] > points, axis=2))
    if violations is None:
        return better
    keeps = violations == 0
    return (better & keeps & keeps[:, None]) | (violations[:, None] < violations)


def front_numbers(points: numpy.ndarray, violations: numpy.ndarray | None = None) -> numpy.ndarray:
    """0 for points that none dominates, 1 for those that only points of front 0 dominate, and so on.

    >>> front_numbers(numpy.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])).tolist()
    [0, 0, 1]
    """
    dominates = dominance(points, violations)
    found = numpy.full(len(points), -1)
    number = 0
    while (found < 0).any():
        left = found < 0
        free = left & ~dominates[left].any(axis=0)
        found[free] = number
        number += 1
    return found


def crowding_distances(points: numpy.ndarray) -> numpy.ndarray:
    """Room around each point of a front: the sum over objectives of the gap between its neighbours, as a share of all.

    Points at the ends of an objective have infinite room.

    >>> crowding_distances(numpy.array([[0.0, 4.0], [1.0, 3.0], [4.0, 0.0]])).tolist()
    [inf, 2.0, inf]
    """
    total = numpy.zeros(len(points))
    for column in points.T:
        order = numpy.argsort(column, kind="stable")
        extent = float(column[order[-1]] - column[order[0]])
        total[order[[0, -1]]] = numpy.inf
        if extent > 0:
            total[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / extent
    return total


def ranking(points: numpy.ndarray, violations: numpy.ndarray | None = None) -> numpy.ndarray:
    """Place of each point when all are sorted by front, then by room, the paper's crowded comparison; 0 is best."""
    fronts = front_numbers(points, violations)
    room = numpy.zeros(len(points))
    for number in range(int(fronts.max(initial=-1)) + 1):
        room[fronts == number] = crowding_distances(points[fronts == number])
    places = numpy.empty(len(points), int)
    places[numpy.lexsort((-room, fronts))] = numpy.arange(len(points))
    return places
