"""Counts of what nodes and their neighbours are, in a few numbers: the Weisfeiler-Leman kernel by random projection.

Ru, Wan, Dong and Osborne, 2021 (arXiv 2006.07556, "NAS-BOWL") compare architectures by how often each neighbourhood
occurs in them. Neighbourhoods are too many for one column each; random signs (Achlioptas, 2003) keep the distances.
"""

import hashlib
from functools import lru_cache

import numpy
import scipy.sparse

from nasengine.graph.computation_graph import Operation
from predictors.colours import refined_colours
from predictors.graph_batch import GraphBatch

NUM_NUMBERS = 256
_ROUNDS = 1
_BITS = 64


def surroundings(batch: GraphBatch) -> numpy.ndarray:
    """Projected ``log(1 + count)`` of all neighbourhoods within 0 and 1 steps, float32, (num_graphs, NUM_NUMBERS).

    Equal graphs have equal rows in every batch; squared distances are those of the counts, up to the projection.
    """
    first = numpy.array([_colour(operation) for operation in batch.operations], numpy.uint64)
    total = numpy.zeros((len(batch), NUM_NUMBERS), numpy.float32)
    for colours in refined_colours(batch, first[batch.operation_index], _ROUNDS):
        known, index = numpy.unique(colours, return_inverse=True)
        ones = numpy.ones(batch.num_nodes, numpy.float32)
        counts = scipy.sparse.csr_array((ones, index, batch.starts.copy()), shape=(len(batch), len(known)))
        counts.sum_duplicates()
        total += counts.log1p() @ _signs(known)
    return total / numpy.float32(NUM_NUMBERS**0.5)


def _signs(colours: numpy.ndarray) -> numpy.ndarray:
    """Random signs that depend on each colour alone, (num_colours, NUM_NUMBERS)."""
    found = []
    for word in range(NUM_NUMBERS // _BITS):
        bits = _digest(colours, word)[:, None] >> numpy.arange(_BITS, dtype=numpy.uint64) & numpy.uint64(1)
        found.append(bits.astype(numpy.float32) * 2 - 1)
    return numpy.hstack(found)


def _digest(colours: numpy.ndarray, word: int) -> numpy.ndarray:
    """64 well mixed bits of each colour and the number of a word."""
    values = colours ^ numpy.uint64((word + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for _ in range(2):
        values = (values ^ (values >> numpy.uint64(32))) * numpy.uint64(0xD6E8FEB86659FD93)
    return values ^ (values >> numpy.uint64(32))


@lru_cache(maxsize=65536)
def _colour(operation: Operation) -> int:
    return int.from_bytes(hashlib.blake2b(repr(operation).encode(), digest_size=8).digest(), "little")
