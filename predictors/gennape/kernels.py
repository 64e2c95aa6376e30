"""Similarities of networks: by the colours of their nodes, and by columns that each have a scale of their own."""

import numpy
import scipy.sparse
import scipy.special

from predictors.gennape.inputs import MemberInputs


def normal_scores(ranks: numpy.ndarray) -> numpy.ndarray:
    """Ranks from 0 to 1 as quantiles of the normal distribution."""
    return scipy.special.ndtri(ranks.clip(1e-4, 1 - 1e-4))


def root_counts(inputs: MemberInputs) -> list[scipy.sparse.csr_array]:
    """Square roots of the shares of colours, of norm 1; round 0 is left out: it counts operations, as features do.

    The last column, nodes of unknown colours, counts in the norm and is no similarity, so that it is dropped.
    """
    found = []
    for counts in inputs.colours[1:]:
        share = scipy.sparse.csr_array(counts[:, :-1], copy=True).astype(float)
        share.data = numpy.sqrt(share.data)
        norms = numpy.sqrt(counts.sum(axis=1)).reshape(-1, 1)
        found.append(scipy.sparse.csr_array(share.multiply(1 / norms)))
    return found


def colour_distances(some: list[scipy.sparse.csr_array], others: list[scipy.sparse.csr_array]) -> numpy.ndarray:
    """Squared Hellinger distances of the colours after each round, (num_rounds, num_some, num_others)."""
    return numpy.array([2 * (1 - (a @ b.T).toarray()) for a, b in zip(some, others, strict=True)])


def squared_distances(some: numpy.ndarray, others: numpy.ndarray) -> numpy.ndarray:
    """Squared Euclidean distances of rows, (num_some, num_others)."""
    products = some @ others.T
    return ((some**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * products).clip(min=0.0)


def rational_quadratic(distances: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """``(1 + D / 3) ** -1.5`` of squared distances, and its derivative: tails heavier than the Gaussian's."""
    base = 1 + distances / 3
    return base**-1.5, -0.5 * base**-2.5
