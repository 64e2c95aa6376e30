"""Fuzzy rules that say how good a child's estimate has to be before the child is measured.

Mamdani inference (Mamdani and Assilian, 1975): minimum for "and" and for implication, maximum over rules, centre of
gravity at the end; membership functions and the last step are scikit-fuzzy's. All is worked out once, on a grid, since
a search asks thousands of times.
"""

from functools import lru_cache, reduce
from itertools import product

import numpy

_STEPS = 16  # similarities of up to sixteen genes lie on the grid
_OUTPUT_STEPS = 100

TERMS = {
    "similarity": {"far": (0.0, 0.0, 0.5, 0.75), "near": (0.5, 0.75, 1.0, 1.0)},
    "spread": {"small": (0.0, 0.0, 0.25, 0.75), "large": (0.25, 0.75, 1.0, 1.0)},
    "time": {"early": (0.0, 0.0, 0.1, 0.6), "late": (0.1, 0.6, 1.0, 1.0)},
}
"""Words for the inputs, each in [0, 1]: corners of a trapezium. Of a variable, memberships add up to 1."""
DEMANDS = {
    "none": (0.0, 0.0, 0.25), "low": (0.0, 0.25, 0.5), "median": (0.25, 0.5, 0.75), "high": (0.5, 0.75, 1.0),
}  # fmt: skip
"""Words for the share of the population that an estimate has to beat: corners of a triangle."""
RULES = {
    ("near", "small", "early"): "high",
    ("near", "small", "late"): "median",
    ("near", "large", "early"): "high",
    ("near", "large", "late"): "median",
    ("far", "small", "early"): "median",
    ("far", "small", "late"): "median",
    ("far", "large", "early"): "low",
    ("far", "large", "late"): "low",
}
"""What is like its neighbours can be judged without a measurement: strictly at first, when most children are poor, less
so later, when estimates have to tell good from very good. What is not, and whose neighbours do not agree, is measured
unless they all are poor."""


def demanded_share(similarity: float, spread: float, time: float) -> float:
    """Share of the population, in [0, 1], that a child's estimate has to beat.

    Args:
        similarity: of the child to the most similar measured architecture.
        spread: of accuracy among its neighbours, as a share of that among all that were measured.
        time: how far the search has come.

    >>> round(demanded_share(1.0, 0.0, 0.0), 2), round(demanded_share(0.0, 1.0, 0.0), 2)
    (0.75, 0.25)
    """
    place = tuple(round(min(max(value, 0.0), 1.0) * _STEPS) for value in (similarity, spread, time))
    return float(_grid()[place])


@lru_cache(maxsize=1)
def _grid() -> numpy.ndarray:
    """The answer at every point of a grid over the three inputs."""
    import skfuzzy

    points, shares = numpy.linspace(0, 1, _STEPS + 1), numpy.linspace(0, 1, _OUTPUT_STEPS + 1)
    memberships = [
        {word: skfuzzy.trapmf(points, corners) for word, corners in words.items()} for words in TERMS.values()
    ]
    demands = {word: skfuzzy.trimf(shares, corners) for word, corners in DEMANDS.items()}
    total = numpy.zeros((len(points),) * 3 + shares.shape)
    for words, demand in RULES.items():
        columns = [known[word] for known, word in zip(memberships, words, strict=True)]
        strength = reduce(numpy.minimum, numpy.ix_(*columns))
        total = numpy.maximum(total, numpy.minimum(strength[..., None], demands[demand]))
    grid = numpy.empty(total.shape[:-1])
    for place in product(range(len(points)), repeat=3):
        grid[place] = skfuzzy.defuzz(shares, total[place], "centroid")
    grid.setflags(write=False)
    return grid
