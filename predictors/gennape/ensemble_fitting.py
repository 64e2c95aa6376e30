"""Fits GENNAPE's ensemble on labelled families, and weights its members by families that were left out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy

from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph
from predictors.gennape.encoder import GraphEncoder
from predictors.gennape.forest import Forest
from predictors.gennape.fuzzy_clusters import FuzzyClusters
from predictors.gennape.head_members import HeadMember
from predictors.gennape.heads import HeadTraining
from predictors.gennape.k_gnn import train_k_gnn
from predictors.gennape.pool_view import PoolView
from predictors.gennape.ranks import RankTransform
from predictors.gennape.weighting import tau
from predictors.gennape.zero_shot import Weighting, ZeroShotEnsemble, spread, weights_of
from predictors.gennape.zero_shot_members import (
    HEAD_KINDS,
    MEMBERS,
    ForestMember,
    KGNNMember,
    MacsMember,
    ZeroShotMember,
    forest_columns,
)

NUM_CLUSTERS = 6
CLUSTER_ROWS = 2000
"""Networks that clusters are fitted on: their number does not change the centres much."""
NORMAL_90 = 1.6449
"""Standard deviations that hold 90 % of a normal distribution on both sides."""
MIN_NETWORKS = 20
REFERENCES_OF_FAMILY = 500
"""Networks of each family in the reference pool."""


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
        if values.shape != (len(self.graphs),) or len(values) < MIN_NETWORKS or not 0 < numpy.ptp(values) < numpy.inf:
            raise ConfigError(
                f"family: expected at least {MIN_NETWORKS} networks with a finite accuracy each, not all equal, "
                f"got {len(self.graphs)} networks and {len(numpy.unique(values))} different accuracies"
            )


@dataclass(frozen=True)
class EnsembleConfig:
    """Settings of the ensemble.

    Args:
        members: names of those to fit.
        weighting: ``agreement`` of the members in each reference pool, or ``equal`` as in the paper.
        num_clusters: fuzzy clusters.
        heads: training of heads.
        num_trees, min_leaf: of the trees.
        calibrate: fit members without each family as well, to know how far they err; three times the work for two.
    """

    members: tuple[str, ...] = MEMBERS
    weighting: Weighting = "agreement"
    num_clusters: int = NUM_CLUSTERS
    heads: HeadTraining = field(default_factory=HeadTraining)
    num_trees: int = 100
    min_leaf: int = 50
    calibrate: bool = True


@dataclass(frozen=True, eq=False)
class _Known:
    view: PoolView
    family: Family

    def some(self, rng: numpy.random.Generator) -> list[ComputationGraph]:
        """What this family adds to the reference pool."""
        return [self.family.graphs[row] for row in rng.permutation(len(self.view))[:REFERENCES_OF_FAMILY]]


def fit_ensemble(
    families: Mapping[str, Family],
    encoder: GraphEncoder,
    config: EnsembleConfig,
    *,
    seed: int,
    report: Callable[[str], None] = lambda line: None,
) -> ZeroShotEnsemble:
    """Fit members on all families; how far they err is known from fits that leave each family out.

    Weights are not taken from these fits: with two families they are fits on one, which say little about fits on two.

    Args:
        families: by name.
        encoder: pretrained.
        config: settings.
        seed: of heads, trees and rows.
        report: is told what is being fitted.
    """
    known = {name: _Known(PoolView.of(family.graphs, encoder), family) for name, family in families.items()}
    ratios, left_out = [], {}
    for name in known if config.calibrate and len(known) > 1 else ():
        report(f"members without {name}")
        others = {other: found for other, found in known.items() if other != name}
        ranks, targets = _ranks_of_left_out(_fit_members(others, config, seed), known[name])
        weights = weights_of(config.weighting, config.members, ranks)
        ratios.append(_error(ranks, weights, targets))
        left_out[name] = tau(ranks @ weights, targets)
    report("members")
    members = _fit_members(known, config, seed)
    rng = numpy.random.default_rng(seed)
    references = PoolView.of([graph for found in known.values() for graph in found.some(rng)], encoder)
    empty = RankTransform(numpy.zeros((1, 0)))
    error = float(numpy.mean(ratios)) if ratios else 1.0
    unknown = numpy.zeros(len(members))
    ensemble = ZeroShotEnsemble(encoder, members, config.weighting, unknown, empty, empty, error, left_out=left_out)
    return ensemble.referring_to(references)


def _fit_members(known: Mapping[str, _Known], config: EnsembleConfig, seed: int) -> dict[str, ZeroShotMember]:
    rng = numpy.random.default_rng(seed)
    points = numpy.vstack([found.view.embeddings for found in known.values()])
    clusters = FuzzyClusters.of_wanted_entropy(
        points[rng.permutation(len(points))[:CLUSTER_ROWS]], config.num_clusters, seed
    )
    labelled = {name: (found.view, found.family.accuracies) for name, found in known.items()}
    makers: dict[str, Callable[[], ZeroShotMember]] = {
        "k-GNN": lambda: _fit_k_gnn(known, seed),
        "macs": MacsMember,
        "forest": lambda: _fit_forest(known, config, seed),
    }
    for name, kind in HEAD_KINDS.items():
        makers[name] = lambda kind=kind: HeadMember.fit(labelled, kind, clusters, config.heads, seed)  # type: ignore[misc]
    return {name: makers[name]() for name in config.members}


def _fit_k_gnn(known: Mapping[str, _Known], seed: int) -> KGNNMember:
    graphs = [graph for found in known.values() for graph in found.family.graphs]
    targets = [_standardised(found.family.accuracies) for found in known.values()]
    return KGNNMember(train_k_gnn(graphs, numpy.concatenate(targets), seed=seed))


def _fit_forest(known: Mapping[str, _Known], config: EnsembleConfig, seed: int) -> ForestMember:
    columns, targets, weights = [], [], []
    for found in known.values():
        columns.append(forest_columns(RankTransform.fit(found.view.features).apply(found.view.features)))
        targets.append(_ranked(found.family.accuracies))
        weights.append(numpy.full(len(found.view), 1 / len(found.view)))
    forest = Forest.fit(
        numpy.vstack(columns), numpy.concatenate(targets), seed,
        weights=numpy.concatenate(weights), num_trees=config.num_trees, min_leaf=config.min_leaf,
    )  # fmt: skip
    return ForestMember(forest)


def _ranks_of_left_out(members: Mapping[str, ZeroShotMember], found: _Known) -> tuple[numpy.ndarray, numpy.ndarray]:
    ranks = RankTransform.fit(found.view.features)
    scores = numpy.stack([member.scores(found.view, ranks) for member in members.values()], axis=1)
    return RankTransform.fit(scores).apply(scores), _ranked(found.family.accuracies)


def _error(ranks: numpy.ndarray, weights: numpy.ndarray, targets: numpy.ndarray) -> float:
    """Factor on the members' spread with which 90 % intervals hold 90 % of the networks that were left out."""
    away = numpy.abs(_ranked(ranks @ weights) - targets)
    return float(numpy.quantile(away / spread(ranks, weights), 0.9)) / NORMAL_90


def _ranked(values: numpy.ndarray) -> numpy.ndarray:
    """Share of values below each one, and half of its equals."""
    from scipy.stats import rankdata

    return (rankdata(values) - 0.5) / len(values)


def _standardised(values: numpy.ndarray) -> numpy.ndarray:
    return (values - values.mean()) / (values.std() or 1.0)
