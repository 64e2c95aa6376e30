"""What the members of an ensemble are told about networks, and the pool that gives the numbers their meaning."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy
import scipy.sparse

from nasengine.errors import ConfigError
from nasengine.graph.computation_graph import Operation
from predictors.colours import refined_colours
from predictors.gennape.ranks import RankTransform
from predictors.graph_batch import GraphBatch

COLUMN_BLOCKS = ("features", "proxies", "zero_shot")
"""Parts of the inputs whose columns are single quantities; embeddings mean something as a whole only."""


@dataclass(frozen=True, eq=False)
class MemberInputs:
    """Some networks, one row each.

    Args:
        features: of the whole graphs, (num_networks, num_features).
        colours: how often a network has each colour of a vocabulary, after each round of refinement; the last column
            counts the nodes of all other colours, see ``ColourVocabulary``.
        proxies: zero-cost proxies, (num_networks, num_proxies).
        embedding: of a graph encoder, (num_networks, size).
        zero_shot: a score that saw none of the labels, (num_networks,).
    """

    features: numpy.ndarray
    colours: tuple[scipy.sparse.csr_array, ...] = ()
    proxies: numpy.ndarray | None = None
    embedding: numpy.ndarray | None = None
    zero_shot: numpy.ndarray | None = None

    def __post_init__(self) -> None:
        parts = {name: getattr(self, name) for name in ("features", "proxies", "embedding", "zero_shot")}
        counts = {name: found.shape[0] for name, found in parts.items() if found is not None}
        counts |= {f"colours {number}": found.shape[0] for number, found in enumerate(self.colours)}
        faults = [f"{name}: expected {len(self)} rows, got {count}" for name, count in counts.items()
                  if count != len(self)]  # fmt: skip
        faults += [f"{name}: expected finite numbers, got others" for name, found in parts.items()
                   if found is not None and not numpy.isfinite(found).all()]  # fmt: skip
        if faults:
            raise ConfigError([f"inputs of a predictor: {fault}" for fault in faults])

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: slice | numpy.ndarray) -> "MemberInputs":
        """Some of the networks: places or a mask."""
        taken = {name: _rows(getattr(self, name), rows) for name in ("proxies", "embedding", "zero_shot")}
        return MemberInputs(self.features[rows], tuple(found[rows] for found in self.colours), **taken)

    def columns(self, num_features: int | None = None) -> numpy.ndarray:
        """Features, or the first of them, proxies and the zero-shot score, side by side, float64."""
        found = [self.features[:, :num_features], self.proxies, self.zero_shot]
        return numpy.hstack([part.reshape(len(self), -1) for part in found if part is not None]).astype(float)


@dataclass(frozen=True, eq=False)
class InputRanks:
    """Turns columns into ranks in a pool of networks without labels.

    Members want inputs that went through it. Which pool is the caller's choice, and it matters: ranks in the pool that
    is searched use knowledge of its unlabelled networks (transductive); ranks in a stored pool do not.
    """

    transforms: Mapping[str, RankTransform]

    @classmethod
    def fit(cls, pool: MemberInputs) -> "InputRanks":
        """Remember a pool."""
        blocks = {name: getattr(pool, name) for name in COLUMN_BLOCKS}
        return cls({name: RankTransform.fit(found.reshape(len(pool), -1)) for name, found in blocks.items()
                    if found is not None})  # fmt: skip

    def apply(self, inputs: MemberInputs) -> MemberInputs:
        """Ranks from 0 to 1 in place of values; colours and embeddings stay.

        Raises:
            ConfigError: the inputs have other parts than the pool had, or other numbers of columns.
        """
        ranks = {name: self._ranked(name, getattr(inputs, name)) for name in COLUMN_BLOCKS}
        features = ranks["features"]
        assert features is not None
        return replace(inputs, features=features, proxies=ranks["proxies"], zero_shot=ranks["zero_shot"])

    def _ranked(self, name: str, found: numpy.ndarray | None) -> numpy.ndarray | None:
        known = self.transforms.get(name)
        expected = 0 if known is None else known.quantiles.shape[1]
        got = 0 if found is None else found.reshape(len(found), -1).shape[1]
        if expected != got:
            raise ConfigError(f"inputs of a predictor: {name}: expected {expected} columns, as the pool has, got {got}")
        return (
            None if found is None or known is None else known.apply(found.reshape(len(found), -1)).reshape(found.shape)
        )


@dataclass(frozen=True, eq=False)
class ColourVocabulary:
    """Colours of the nodes of some networks, so that those of other networks can be counted in the same columns.

    Args:
        colours: after 0, 1, ... rounds of refinement, sorted, unsigned 64-bit integers.
    """

    colours: tuple[numpy.ndarray, ...]

    @classmethod
    def fit(cls, batch: GraphBatch, rounds: int = 3) -> "ColourVocabulary":
        """All colours of a batch; that of the labelled networks is enough for a kernel with them."""
        return cls(tuple(numpy.unique(found) for found in _node_colours(batch, rounds)))

    def counts(self, batch: GraphBatch) -> tuple[scipy.sparse.csr_array, ...]:
        """Counts of each round, (num_graphs, num_colours + 1); nodes of unknown colour are in the last column."""
        every = zip(self.colours, _node_colours(batch, len(self.colours) - 1), strict=True)
        return tuple(_counts(known, found, batch) for known, found in every)

    def tensors(self) -> dict[str, numpy.ndarray]:
        """Everything, as named arrays."""
        return {f"round{number}": found for number, found in enumerate(self.colours)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, numpy.ndarray]) -> "ColourVocabulary":
        """Back from named arrays."""
        return cls(tuple(tensors[f"round{number}"] for number in range(len(tensors))))


def distinct_columns(columns: numpy.ndarray) -> numpy.ndarray:
    """Places of columns that vary and repeat no earlier one: features of a whole space are mostly constant in it."""
    _, first = numpy.unique(columns.round(6), axis=1, return_index=True)
    places = numpy.sort(first)
    return places[numpy.ptp(columns[:, places], axis=0) > 1e-6]


def _node_colours(batch: GraphBatch, rounds: int) -> list[numpy.ndarray]:
    contents = numpy.array([_content_hash(found) for found in batch.operations], numpy.uint64)
    return refined_colours(batch, contents[batch.operation_index], rounds)


def _counts(known: numpy.ndarray, found: numpy.ndarray, batch: GraphBatch) -> scipy.sparse.csr_array:
    place = numpy.searchsorted(known, found)
    is_known = known[place.clip(max=len(known) - 1)] == found
    column = numpy.where(is_known, place, len(known))
    starts = batch.starts.copy()  # the next line but one changes it in place
    counts = scipy.sparse.csr_array((numpy.ones(batch.num_nodes), column, starts), shape=(len(batch), len(known) + 1))
    counts.sum_duplicates()
    return counts


def _content_hash(operation: Operation) -> int:
    """The same number in every process and batch."""
    return int.from_bytes(hashlib.blake2b(repr(operation).encode(), digest_size=8).digest(), "little")


def _rows(part: numpy.ndarray | None, rows: slice | numpy.ndarray) -> numpy.ndarray | None:
    return None if part is None else part[rows]
