"""How much each member of an ensemble counts where there are no labels.

GENNAPE weights its members equally. One that says nothing about a new family then spoils the others. Members that are
right agree with one another, those that are wrong agree with nobody: the weights can be told from the members' answers
alone (Parisi, Strino, Nadler and Kluger, 2014, "Ranking and combining multiple predictors without labeled data").
"""

from collections.abc import Sequence

import numpy

ROUNDS = 50


def equal_weights(kinds: Sequence[str]) -> numpy.ndarray:
    """The paper's weights, (num_members,)."""
    return numpy.full(len(kinds), 1 / len(kinds))


def agreement_weights(kinds: Sequence[str], ranks: numpy.ndarray) -> numpy.ndarray:
    """Weights by how much each kind of member agrees with the others, (num_members,).

    If kinds err independently, correlations of their answers are products of how well each of them is correlated with
    the truth. Those are fitted to all pairs of kinds: the leading eigenvector, once the diagonal fits too.

    Args:
        kinds: of the members; members of a kind know the same, and share its weight equally.
        ranks: of some networks by each member, (num_networks, num_members).
    """
    names = list(dict.fromkeys(kinds))
    member_of = numpy.array([[kind == name for name in names] for kind in kinds], float)
    shares = member_of / member_of.sum(0)
    if len(names) < 3:
        return shares.sum(1) / len(names)
    with numpy.errstate(invalid="ignore"):  # a kind whose answers are all equal agrees with nobody
        products = numpy.nan_to_num(numpy.corrcoef((ranks @ shares).T))
    for _ in range(ROUNDS):
        values, vectors = numpy.linalg.eigh(products)
        truth = vectors[:, -1] * numpy.sqrt(max(values[-1], 0.0))
        numpy.fill_diagonal(products, (truth**2).clip(0.0, 1.0))
    truth = (truth * numpy.sign(truth.sum())).clip(min=0.0)
    return shares @ (truth / truth.sum()) if truth.any() else shares.sum(1) / len(names)


def tau(scores: numpy.ndarray, targets: numpy.ndarray) -> float:
    """Kendall's tau-b; 0 where all scores are equal."""
    from scipy.stats import kendalltau

    if numpy.ptp(scores) == 0 or numpy.ptp(targets) == 0:
        return 0.0
    return float(kendalltau(scores, targets)[0])
