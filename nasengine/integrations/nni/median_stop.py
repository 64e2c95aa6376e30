"""Ends trials that are worse than others were at the same point."""

from collections.abc import Sequence
from statistics import median

FIRST_STEPS, FEWEST_TRIALS = 1, 3


class MedianStop:
    """The median stopping rule (Golovin et al., 2017, section 3.2.1).

    A trial is poor if its best value so far is below the median of the other trials' running averages up to the same
    step.

    >>> rule = MedianStop()
    >>> for value in (0.5, 0.6, 0.7):
    ...     rule.add([value, value])
    >>> rule.is_poor([0.1, 0.2]), rule.is_poor([0.1, 0.65])
    (True, False)
    """

    def __init__(self) -> None:
        self._ended: list[list[float]] = []

    def add(self, values: Sequence[float]) -> None:
        """A trial that came to its end, with its values on the way."""
        self._ended.append(list(values))

    def is_poor(self, values: Sequence[float]) -> bool:
        """Whether a trial with these values so far should end.

        After its first step, and while few trials have ended, none is poor.
        """
        step = len(values)
        others = [ended[:step] for ended in self._ended if len(ended) >= step]
        if step <= FIRST_STEPS or len(others) < FEWEST_TRIALS:
            return False
        return max(values) < median(sum(other) / step for other in others)
