"""The members of GENNAPE's ensemble, each of which scores networks in its own way and on its own scale.

Mills et al., 2023, arXiv 2211.17226, section on unseen architectures, names six: heads with fuzzy clusters and
transform, one head with the transform, pairwise heads with and without clusters, a k-GNN, and FLOPs. Trees on costs and
path features are added; they know what is in the graph and not in its topology.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy

from predictors.gennape.forest import Forest
from predictors.gennape.head_members import HeadKind
from predictors.gennape.k_gnn import KGNNPredictor, k_gnn_scores
from predictors.gennape.pool_view import PoolView
from predictors.gennape.ranks import RankTransform
from predictors.graph_features import NAMES

HEAD_KINDS = {
    "clusters + T": HeadKind(clustered=True, pairwise=False, transformed=True),
    "single + T": HeadKind(clustered=False, pairwise=False, transformed=True),
    "pairs + clusters": HeadKind(clustered=True, pairwise=True, transformed=False),
    "pairs": HeadKind(clustered=False, pairwise=True, transformed=False),
    "clusters": HeadKind(clustered=True, pairwise=False, transformed=False),
    "single": HeadKind(clustered=False, pairwise=False, transformed=False),
}
"""The paper's members 1 to 4, and the first two without transform, to compare with."""
MEMBERS = ("clusters + T", "single + T", "pairs + clusters", "pairs", "k-GNN", "macs", "forest")
"""The paper's six members, and the trees."""


@runtime_checkable
class ZeroShotMember(Protocol):
    """Scores networks; more is better."""

    def scores(self, view: PoolView, ranks: RankTransform) -> numpy.ndarray: ...


@dataclass(frozen=True, eq=False)
class KGNNMember:
    """The k-GNN, and back from what it learned to accuracies."""

    model: KGNNPredictor

    def scores(self, view: PoolView, ranks: RankTransform) -> numpy.ndarray:
        """Predicted standardised accuracies."""
        return numpy.concatenate([k_gnn_scores(self.model, batch) for batch in view.batches]).astype(float)


@dataclass(frozen=True)
class MacsMember:
    """The paper's sixth member: larger networks are better."""

    def scores(self, view: PoolView, ranks: RankTransform) -> numpy.ndarray:
        """Multiply-accumulates."""
        return view.macs


@dataclass(frozen=True, eq=False)
class ForestMember:
    """Trees on the ranks of costs and path features."""

    forest: Forest

    def scores(self, view: PoolView, ranks: RankTransform) -> numpy.ndarray:
        """Predicted ranks."""
        return self.forest.predict(forest_columns(ranks.apply(view.features)))[0]


def forest_columns(ranks: numpy.ndarray) -> numpy.ndarray:
    """Costs, counts and paths; the wiring is left out, since what it means is other from family to family.

    With it Spearman's rho on NAS-Bench-Macro was .78 instead of .84, on NAS-Bench-201 .83 instead of .85.
    """
    return ranks[:, : len(NAMES)]
