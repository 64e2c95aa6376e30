"""What members see of a pool of networks, worked out once for all of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy

from nasengine.graph import ComputationGraph
from predictors.gennape.encoder import GraphEncoder
from predictors.gennape.pretraining import embed
from predictors.gennape.ranks import RankTransform
from predictors.graph_batch import GraphBatch
from predictors.graph_features import NAMES
from predictors.predictor_batch import predictor_batch, predictor_features

_OTHER, _NODES = NAMES.index("log number of other"), NAMES.index("log nodes")
_NUM_COSTS = 4
CHUNK = 500
"""Networks that are looked at together: enough to share work, and memory does not grow with the pool."""


@dataclass(frozen=True, eq=False)
class PoolView:
    """Networks in three forms.

    Args:
        batches: their graphs, in order.
        features: of whole graphs, (num_networks, len(FEATURE_NAMES)).
        embeddings: of the pretrained encoder, (num_networks, embedding_size).
    """

    batches: tuple[GraphBatch, ...]
    features: numpy.ndarray
    embeddings: numpy.ndarray

    @classmethod
    def of(cls, graphs: Sequence[ComputationGraph], encoder: GraphEncoder) -> "PoolView":
        """Look at all graphs at once; for many, use ``chunks_of`` first."""
        batches = tuple(predictor_batch(graphs[begin : begin + CHUNK]) for begin in range(0, len(graphs), CHUNK))
        features = numpy.vstack([predictor_features(batch) for batch in batches])
        return cls(batches, features, numpy.vstack([embed(encoder, batch) for batch in batches]))

    def __len__(self) -> int:
        return len(self.features)

    @property
    def macs(self) -> numpy.ndarray:
        """Multiply-accumulates of each network, (num_networks,)."""
        return numpy.expm1(self.features[:, 0])


def novelty(view: PoolView, pool: RankTransform) -> numpy.ndarray:
    """How unlike a pool networks are, from 0 to 1, (num_networks,).

    A network is wholly unlike a pool if a fifth of its features are beyond the pool's, or a fifth of its operations
    unknown, or one of its costs is as far beyond the pool's as these are from one another.

    Args:
        view: networks.
        pool: of features.
    """
    low, high = pool.quantiles[0], pool.quantiles[-1]
    beyond = numpy.maximum(low - view.features, view.features - high).clip(min=0.0)
    costs = (beyond / numpy.where(high > low, high - low, 1.0))[:, :_NUM_COSTS].max(1)
    unknown = numpy.expm1(view.features[:, _OTHER]) / numpy.expm1(view.features[:, _NODES])
    return (costs + 5 * (beyond > 0).mean(1) + 5 * unknown).clip(max=1.0)


def chunks_of(graphs: Iterable[ComputationGraph]) -> Iterator[list[ComputationGraph]]:
    """Some graphs at a time; an iterator's graphs are made only when they are looked at."""
    source = iter(graphs)
    while chunk := list(islice(source, CHUNK)):
        yield chunk
