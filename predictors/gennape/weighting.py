"""How much each member of an ensemble counts.

GENNAPE weights its members equally without labels and, with labels, by the softmax of their Kendall taus on the very
networks that they were fitted on, which tells little (weights then differ by a factor of e at most). Here members are
selected greedily by what they predicted for networks that they had not seen (Caruana et al., 2004, "Ensemble selection
from libraries of models").
"""

from collections.abc import Sequence

import numpy

ROUNDS = 20
Pool = tuple[numpy.ndarray, numpy.ndarray]
"""Scores of the members, (num_networks, num_members), and targets, (num_networks,)."""


def equal_weights(num_members: int) -> numpy.ndarray:
    """The paper's zero-shot weights."""
    return numpy.full(num_members, 1 / num_members)


def softmax_weights(scores: numpy.ndarray, targets: numpy.ndarray) -> numpy.ndarray:
    """The paper's weights with labels: softmax of each member's tau, (num_members,).

    Args:
        scores: of the members, (num_networks, num_members).
        targets: (num_networks,).
    """
    taus = numpy.exp([tau(column, targets) for column in scores.T])
    return taus / taus.sum()


def left_out_weights(pools: Sequence[Pool]) -> numpy.ndarray:
    """Weights in proportion to the mean tau on pools that members had not seen; none below zero, (num_members,)."""
    taus = numpy.mean([[tau(column, targets) for column in scores.T] for scores, targets in pools], axis=0)
    return _shares(taus.clip(min=0.0))


def selected_weights(pools: Sequence[Pool]) -> numpy.ndarray:
    """Weights of greedy selection with replacement, (num_members,).

    In each round the member joins with which the mean of the selected members' scores ranks the pools best.

    Args:
        pools: scores of the members for networks that they had not seen, (num_networks, num_members), on a common
            scale, and the targets of these networks, (num_networks,); each pool counts the same.
    """
    num_members = pools[0][0].shape[1]
    counts = numpy.zeros(num_members)
    best_counts, best = counts, float("-inf")
    for _ in range(ROUNDS):
        options = [counts + numpy.eye(num_members)[member] for member in range(num_members)]
        values = [numpy.mean([tau(scores @ option, targets) for scores, targets in pools]) for option in options]
        counts = options[int(numpy.argmax(values))]
        if max(values) > best:
            best_counts, best = counts, float(max(values))
    return best_counts / best_counts.sum()


def _shares(values: numpy.ndarray) -> numpy.ndarray:
    """Values as shares of their sum; equal ones where all are zero."""
    return values / values.sum() if values.any() else equal_weights(len(values))


def tau(scores: numpy.ndarray, targets: numpy.ndarray) -> float:
    """Kendall's tau-b; 0 where all scores are equal."""
    from scipy.stats import kendalltau

    if numpy.ptp(scores) == 0 or numpy.ptp(targets) == 0:
        return 0.0
    return float(kendalltau(scores, targets)[0])
