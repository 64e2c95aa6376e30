"""Soft clusters of embeddings: fuzzy c-means (Bezdek, 1981), as in GENNAPE.

Mills et al., 2023, arXiv 2211.17226, equations 2 to 4. In a hundred dimensions distances to all centres are nearly
equal, and with the usual fuzzifier of 2 all memberships are nearly ``1 / num_clusters``; with one near 1 they are
nearly hard. The fuzzifier is therefore chosen by the entropy of the memberships that it gives.
"""

from dataclasses import dataclass

import numpy

SOFTEST, HARDEST = 2.0, 0.02
"""Range of ``fuzzifier - 1``: nearly uniform to nearly hard."""
WANTED_ENTROPY = 0.5
"""Mean entropy of memberships as a share of the largest possible: halfway between hard and uniform."""
TOLERANCE = 0.01
MAX_FITS = 12


@dataclass(frozen=True, eq=False)
class FuzzyClusters:
    """Centres of clusters and how softly points belong to them.

    Args:
        centers: (num_clusters, size).
        fuzzifier: above 1; ``m`` in the papers.
    """

    centers: numpy.ndarray
    fuzzifier: float

    @classmethod
    def fit(cls, points: numpy.ndarray, num_clusters: int, fuzzifier: float, seed: int = 0) -> "FuzzyClusters":
        """Alternate centres and memberships until these change by at most 1e-9, or a thousand times."""
        import skfuzzy

        centers, *_ = skfuzzy.cluster.cmeans(
            points.T.astype(float), num_clusters, fuzzifier, error=1e-9, maxiter=1000, seed=seed
        )
        return cls(centers, fuzzifier)

    @classmethod
    def of_wanted_entropy(
        cls, points: numpy.ndarray, num_clusters: int, seed: int = 0, wanted: float = WANTED_ENTROPY
    ) -> "FuzzyClusters":
        """Bisect the fuzzifier until memberships have the wanted entropy, to ``TOLERANCE``; keep the nearest.

        Entropy grows with the fuzzifier, but for jumps where the centres settle elsewhere.
        """
        low, high = HARDEST, SOFTEST
        fitted: list[tuple[float, FuzzyClusters]] = []
        for _ in range(MAX_FITS):
            middle = (low * high) ** 0.5
            found = cls.fit(points, num_clusters, 1 + middle, seed)
            excess = found.entropy(points) - wanted
            fitted.append((abs(excess), found))
            if abs(excess) <= TOLERANCE:
                break
            low, high = (low, middle) if excess > 0 else (middle, high)
        return min(fitted, key=lambda pair: pair[0])[1]

    def memberships(self, points: numpy.ndarray) -> numpy.ndarray:
        """How much each point belongs to each cluster, (num_points, num_clusters); rows sum to 1.

        In closed form, for points that the clusters were not fitted on too: a membership is proportional to
        ``distance ** (-2 / (fuzzifier - 1))``. A point on a centre belongs to it alone.
        """
        squares = ((points[:, None, :] - self.centers[None]) ** 2).sum(-1)
        logs = -numpy.log(numpy.maximum(squares, numpy.finfo(float).tiny)) / (self.fuzzifier - 1)
        shares = numpy.exp(logs - logs.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True)

    def entropy(self, points: numpy.ndarray) -> float:
        """Mean entropy of memberships, 0 where every point belongs to one cluster and 1 where to all alike."""
        shares = self.memberships(points)
        logs = numpy.log(numpy.maximum(shares, numpy.finfo(float).tiny))
        return float(-(shares * logs).sum(1).mean() / numpy.log(max(2, len(self.centers))))
