"""GENNAPE's members on embeddings: one score or pairs, fuzzy clusters or none, with or without the FLOPs transform."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor, nn

from predictors.gennape.flops_transform import FlopsTransform
from predictors.gennape.fuzzy_clusters import FuzzyClusters
from predictors.gennape.heads import (
    NUM_REFERENCES,
    ClusterHeads,
    HeadData,
    HeadTraining,
    PairHeads,
    head_scores,
    train_head,
)
from predictors.gennape.pool_view import PoolView
from predictors.gennape.ranks import RankTransform

MAX_ROWS = 2500
"""Networks of a family that heads learn from: a family has one weight, however many networks it has."""


@dataclass(frozen=True)
class HeadKind:
    """Which of the paper's heads a member is.

    Args:
        clustered: one head for each fuzzy cluster, or one for all.
        pairwise: learns which of two networks is better, or their accuracies.
        transformed: accuracies are divided by the size of the network (equation 5).
    """

    clustered: bool
    pairwise: bool
    transformed: bool


@dataclass(frozen=True, eq=False)
class HeadMember:
    """A trained head.

    Args:
        kind: which of the paper's.
        head: the network.
        clusters: of embeddings; None for a single head.
        transform: from what the head tells to accuracies.
        references: networks to be compared with; None for heads that are not pairwise.
    """

    kind: HeadKind
    head: nn.Module
    clusters: FuzzyClusters | None
    transform: FlopsTransform
    references: HeadData | None

    @classmethod
    def fit(
        cls,
        families: Mapping[str, tuple[PoolView, numpy.ndarray]],
        kind: HeadKind,
        clusters: FuzzyClusters,
        settings: HeadTraining,
        seed: int,
    ) -> "HeadMember":
        """Train on families of networks and their accuracies; each family is standardised by itself."""
        rng = numpy.random.default_rng(seed)
        used = clusters if kind.clustered else None
        points, targets, groups, transforms = [], [], [], []
        for place, (view, accuracies) in enumerate(families.values()):
            rows = rng.permutation(len(view))[:MAX_ROWS]
            macs = view.macs[rows]
            transforms.append(FlopsTransform.fit(accuracies[rows], macs, enabled=kind.transformed))
            points.append(view.embeddings[rows])
            targets.append(transforms[-1].apply(accuracies[rows], macs))
            groups.append(numpy.full(len(rows), place))
        data = head_data(numpy.vstack(points), used, numpy.concatenate(targets), numpy.concatenate(groups))
        head = _new_head(kind, data, seed)
        train_head(head, data, settings, seed)
        references = data.rows(torch.from_numpy(rng.permutation(len(data))[:NUM_REFERENCES]))
        mean = float(numpy.mean([found.mean for found in transforms]))
        std = float(numpy.mean([found.std for found in transforms]))
        return cls(kind, head, used, FlopsTransform(mean, std, kind.transformed), references if kind.pairwise else None)

    def scores(self, view: PoolView, ranks: RankTransform) -> numpy.ndarray:
        """Predicted accuracies, or chances to win, (num_networks,)."""
        unknown = numpy.zeros(len(view))
        data = head_data(view.embeddings, self.clusters, unknown, unknown)
        found = head_scores(self.head, data, self.references).numpy().astype(float)
        return found if self.kind.pairwise else self.transform.invert(found, view.macs)


def empty_head(kind: HeadKind, weights: Mapping[str, Tensor]) -> nn.Module:
    """A head with stored weights, which tell its sizes."""
    clusters, inputs, width = weights["left" if kind.pairwise else "hidden"].shape
    head = (PairHeads if kind.pairwise else ClusterHeads)(inputs, clusters, width)
    head.load_state_dict(dict(weights))
    return head.eval()


def head_data(
    points: numpy.ndarray, clusters: FuzzyClusters | None, targets: numpy.ndarray, groups: numpy.ndarray
) -> HeadData:
    """Embeddings and their memberships, as heads get them."""
    shares = numpy.ones((len(points), 1)) if clusters is None else clusters.memberships(points)
    return HeadData(_tensor(points), _tensor(shares), _tensor(targets), _tensor(groups))


def _new_head(kind: HeadKind, data: HeadData, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        make = PairHeads if kind.pairwise else ClusterHeads
        return make(data.points.shape[1], data.memberships.shape[1])


def _tensor(values: numpy.ndarray) -> Tensor:
    return torch.from_numpy(numpy.ascontiguousarray(values, numpy.float32))
