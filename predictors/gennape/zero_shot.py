"""Scores of networks of a space of which nothing was measured: GENNAPE's ensemble, learned from other spaces.

Mills et al., 2023, arXiv 2211.17226, section on unseen architectures: heads on embeddings with and without fuzzy
clusters, transform and pairs, a k-GNN, and FLOPs. Added: trees on costs and path features, as ranks within the space.
Members are brought to a common scale by their ranks in a reference pool, which needs no labels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy

from nasengine.graph import ComputationGraph
from predictors.gennape.encoder import GraphEncoder
from predictors.gennape.pool_view import PoolView, chunks_of, novelty
from predictors.gennape.ranks import RankTransform
from predictors.gennape.weighting import agreement_weights, equal_weights
from predictors.gennape.zero_shot_members import HEAD_KINDS, ZeroShotMember

Weighting = Literal["agreement", "equal"]

MIN_SPREAD = 0.05
"""Ranks by which members differ at least: that they agree does not mean that they are right."""


UNIFORM_STD = 12**-0.5
"""Standard deviation of a rank of which nothing is known."""


@dataclass(frozen=True, eq=False)
class ZeroShotEnsemble:
    """A trained encoder and members, and a reference pool that gives their scores a meaning.

    Args:
        encoder: pretrained without labels.
        members: by name.
        weighting: ``agreement`` of the members in the reference pool, or ``equal`` as in the paper.
        weights: of the members, in order; those of weight 0 are not computed.
        feature_ranks: of the reference pool's features.
        score_ranks: of the reference pool's member scores, and of its combined score (last column).
        error: standard deviation of the predicted rank, as a multiple of the members' spread, from families left out.
        pool_size: networks of the reference pool.
        left_out: Kendall's tau of the ensemble on each family, when it was left out; empty with a single family.
    """

    encoder: GraphEncoder
    members: Mapping[str, ZeroShotMember]
    weighting: Weighting
    weights: numpy.ndarray
    feature_ranks: RankTransform
    score_ranks: RankTransform
    error: float
    pool_size: int = 0
    left_out: Mapping[str, float] = field(default_factory=dict)

    def predict(self, graphs: Iterable[ComputationGraph]) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Predicted rank in the reference pool, from 0 (worst) to 1, and its standard deviation, (num_graphs,) each.

        Graphs are looked at in chunks, so that an iterator of any length can be ranked.
        """
        means, stds = [], []
        for chunk in chunks_of(graphs):
            mean, std = self.predict_view(PoolView.of(chunk, self.encoder))
            means.append(mean)
            stds.append(std)
        return numpy.concatenate(means or [numpy.zeros(0)]), numpy.concatenate(stds or [numpy.zeros(0)])

    def predict_view(self, view: PoolView) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The same of networks that were looked at already."""
        aligned = self._aligned(view)
        combined = aligned @ self.weights
        ranks = RankTransform(self.score_ranks.quantiles[:, -1:]).apply(combined[:, None])[:, 0]
        unknown = UNIFORM_STD * novelty(view, self.feature_ranks)
        disagreement = (self.error * spread(aligned, self.weights)).clip(max=UNIFORM_STD)
        return ranks, numpy.hypot(disagreement, unknown)

    def adapted(self, pool: Sequence[ComputationGraph]) -> "ZeroShotEnsemble":
        """The same ensemble with another reference pool: networks of the space that is searched, without labels."""
        return self.referring_to(PoolView.of(pool, self.encoder))

    def referring_to(self, view: PoolView) -> "ZeroShotEnsemble":
        """The same for a pool that was looked at already."""
        ranks = RankTransform.fit(view.features)
        scores = numpy.stack([member.scores(view, ranks) for member in self.members.values()], axis=1)
        score_ranks = RankTransform.fit(scores)
        aligned = score_ranks.apply(scores)
        weights = weights_of(self.weighting, tuple(self.members), aligned)
        score_ranks = RankTransform.fit(numpy.hstack([scores, (aligned @ weights)[:, None]]))
        return replace(self, weights=weights, feature_ranks=ranks, score_ranks=score_ranks, pool_size=len(view))

    def _aligned(self, view: PoolView) -> numpy.ndarray:
        """Ranks in the reference pool by each member, (num_networks, num_members); those without weight say nothing."""
        columns = [
            member.scores(view, self.feature_ranks) if weight > 0 else numpy.zeros(len(view))
            for member, weight in zip(self.members.values(), self.weights, strict=True)
        ]
        return RankTransform(self.score_ranks.quantiles[:, : len(columns)]).apply(numpy.stack(columns, axis=1))


def weights_of(weighting: Weighting, members: Sequence[str], ranks: numpy.ndarray) -> numpy.ndarray:
    """Weights of members by what they say about some networks, (num_members,).

    Args:
        weighting: how.
        members: their names.
        ranks: of the networks by each member, (num_networks, num_members).
    """
    kinds = ["heads" if name in HEAD_KINDS else name for name in members]
    return agreement_weights(kinds, ranks) if weighting == "agreement" else equal_weights(kinds)


def spread(aligned: numpy.ndarray, weights: numpy.ndarray) -> numpy.ndarray:
    """How much members disagree: weighted standard deviation of their ranks, and no less than ``MIN_SPREAD``."""
    middle = aligned @ weights
    return numpy.sqrt(((aligned - middle[:, None]) ** 2) @ weights + MIN_SPREAD**2)
