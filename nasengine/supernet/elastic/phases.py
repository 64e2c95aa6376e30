"""In which order an elastic supernet learns its subnets."""

import itertools
from dataclasses import dataclass

from nasengine.errors import ConfigError

LARGEST_SHARE = 1 / 3
"""Part of the epochs in which progressive shrinking trains the largest network alone; once-for-all: 180 of 540."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Epochs in which the same choices are elastic.

    Args:
        epochs: how many.
        choices: those that are; the others stay as in the largest network.
    """

    epochs: int
    choices: tuple[str, ...]


def sandwich(epochs: int, choices: tuple[str, ...]) -> tuple[Phase, ...]:
    """The largest network alone in the first half of the epochs, then all choices at once.

    Yu et al., 2020, arXiv 2003.11142 ("BigNAS") let all choices be elastic from the beginning. An epoch of the largest
    network alone takes about half as long, and what teaches the others should know something.

    >>> [(phase.epochs, phase.choices) for phase in sandwich(9, ("kernel",))]
    [(5, ()), (4, ('kernel',))]
    """
    if epochs < 2:
        return (Phase(epochs, choices),)
    return Phase(epochs - epochs // 2, ()), Phase(epochs // 2, choices)


def shrinking(epochs: int, choices: tuple[str, ...]) -> tuple[Phase, ...]:
    """The largest network first, then one choice more in each phase (Cai et al., 2020, arXiv 1908.09791).

    Args:
        epochs: of all phases together.
        choices: of the space, in order.

    Raises:
        ConfigError: fewer epochs than phases.

    >>> [(phase.epochs, len(phase.choices)) for phase in shrinking(12, ("kernel", "depth"))]
    [(4, 0), (4, 1), (4, 2)]
    """
    count = len(choices) + 1
    if epochs < count:
        raise ConfigError(f"progressive shrinking: expected at least {count} epochs, one for each phase, got {epochs}")
    first = max(1, min(round(epochs * LARGEST_SHARE), epochs - len(choices))) if choices else epochs
    ends = [first + (epochs - first) * place // max(1, count - 1) for place in range(count)]
    lengths = [first, *(end - begin for begin, end in itertools.pairwise(ends))]
    return tuple(Phase(length, choices[:place]) for place, length in enumerate(lengths))


def choices_at(phases: tuple[Phase, ...], epoch: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is elastic in an epoch, counted from 0, and what of it is new there, after epochs in which it was not."""
    begin, before = 0, None
    for phase in phases:
        if epoch < begin + phase.epochs:
            is_first = before is not None and epoch == begin
            return phase.choices, tuple(one for one in phase.choices if is_first and one not in (before or ()))
        begin, before = begin + phase.epochs, phase.choices
    raise ConfigError(f"elastic training: expected an epoch below {begin}, got {epoch}")
