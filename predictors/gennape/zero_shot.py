"""Scores of networks of a space of which nothing was measured: GENNAPE's ensemble, learned from other spaces.

Mills et al., 2023, arXiv 2211.17226, section on unseen architectures: heads on embeddings with and without fuzzy
clusters, transform and pairs, a k-GNN, and FLOPs. Added: trees on costs and path features, as ranks within the space.
Members are brought to a common scale by their ranks in a reference pool, which needs no labels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy

from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph
from predictors.gennape.encoder import GraphEncoder
from predictors.gennape.pool_view import PoolView, chunks_of, novelty
from predictors.gennape.ranks import RankTransform
from predictors.gennape.zero_shot_members import ZeroShotMember

MIN_SPREAD = 0.05
"""Ranks by which members differ at least: that they agree does not mean that they are right."""


@dataclass(frozen=True, eq=False)
class Family:
    """Labelled networks of one space.

    Args:
        graphs: the networks.
        accuracies: fractions, (num_networks,); only their order within the family has to mean something.
    """

    graphs: Sequence[ComputationGraph]
    accuracies: numpy.ndarray

    def __post_init__(self) -> None:
        values = numpy.asarray(self.accuracies)
        if values.shape != (len(self.graphs),) or len(values) < 20 or not numpy.isfinite(values).all():
            raise ConfigError(
                "family: expected at least 20 networks with a finite accuracy each, "
                f"got {len(self.graphs)} networks and accuracies of shape {values.shape}"
            )


UNIFORM_STD = 12**-0.5
"""Standard deviation of a rank of which nothing is known."""


@dataclass(frozen=True, eq=False)
class ZeroShotEnsemble:
    """A trained encoder and members, and a reference pool that gives their scores a meaning.

    Args:
        encoder: pretrained without labels.
        members: by name.
        weights: of the members, in order; those of weight 0 are not computed.
        feature_ranks: of the reference pool's features.
        score_ranks: of the reference pool's member scores, and of its combined score (last column).
        error: standard deviation of the predicted rank, as a multiple of the members' spread, from families left out.
        pool_size: networks of the reference pool.
        left_out: Kendall's tau of the ensemble on each family, when it was left out; empty with a single family.
    """

    encoder: GraphEncoder
    members: Mapping[str, ZeroShotMember]
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
        return ranks, numpy.hypot(self.error * spread(aligned, self.weights), unknown)

    def adapted(self, pool: Sequence[ComputationGraph]) -> "ZeroShotEnsemble":
        """The same ensemble with another reference pool: networks of the space that is searched, without labels."""
        return self.referring_to(PoolView.of(pool, self.encoder))

    def weighted(self, weights: numpy.ndarray) -> "ZeroShotEnsemble":
        """The same ensemble with other weights; adapt it to a pool before it predicts."""
        return replace(self, weights=weights)

    def referring_to(self, view: PoolView) -> "ZeroShotEnsemble":
        changed = replace(self, feature_ranks=RankTransform.fit(view.features), pool_size=len(view))
        scores = changed.member_scores(view)
        changed = replace(changed, score_ranks=RankTransform.fit(scores))
        combined = changed._aligned(view) @ self.weights
        return replace(changed, score_ranks=RankTransform.fit(numpy.hstack([scores, combined[:, None]])))

    def member_scores(self, view: PoolView) -> numpy.ndarray:
        """What each member says, on its own scale, (num_networks, num_members); 0 for members without weight."""
        columns = [
            member.scores(view, self.feature_ranks) if weight > 0 else numpy.zeros(len(view))
            for member, weight in zip(self.members.values(), self.weights, strict=True)
        ]
        return numpy.stack(columns, axis=1)

    def _aligned(self, view: PoolView) -> numpy.ndarray:
        scores = self.member_scores(view)
        return RankTransform(self.score_ranks.quantiles[:, : len(self.members)]).apply(scores)


def spread(aligned: numpy.ndarray, weights: numpy.ndarray) -> numpy.ndarray:
    """How much members disagree: weighted standard deviation of their ranks, and no less than ``MIN_SPREAD``."""
    middle = aligned @ weights
    return numpy.sqrt(((aligned - middle[:, None]) ** 2) @ weights + MIN_SPREAD**2)
