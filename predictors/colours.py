"""Colour refinement of many graphs at once: which nodes look alike within some steps.

Weisfeiler and Leman, 1968, along and against the edges. Nodes of one colour have equal surroundings, so that a graph
network gives them equal embeddings after as many layers: it is enough to compute one of them.
"""

import numpy

from predictors.graph_batch import GraphBatch

_SALTS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)


def refined_colours(batch: GraphBatch, colours: numpy.ndarray, rounds: int) -> list[numpy.ndarray]:
    """Colours after 0, 1, ... rounds; equal numbers mean equal surroundings.

    64-bit hashes stand for the multisets of neighbouring colours; two different surroundings among a million have the
    same with a chance of less than one in ten million.

    Args:
        batch: the graphs.
        colours: of the nodes at the beginning, any integers, (num_nodes,).
        rounds: refinements.

    Returns:
        ``rounds + 1`` arrays of unsigned 64-bit integers, (num_nodes,).
    """
    found = [_mixed(colours.astype(numpy.uint64), _SALTS[0])]
    by_source = numpy.argsort(batch.sources, kind="stable")
    for _ in range(rounds):
        last = found[-1]
        before = _sums(_mixed(last[batch.sources], _SALTS[1]), batch.targets, batch.num_nodes)
        after = _sums(_mixed(last[batch.targets], _SALTS[2])[by_source], batch.sources[by_source], batch.num_nodes)
        found.append(
            _mixed(last ^ _mixed(before, _SALTS[2]) ^ (_mixed(after, _SALTS[1]) >> numpy.uint64(1)), _SALTS[0])
        )
    return found


def _sums(values: numpy.ndarray, places: numpy.ndarray, size: int) -> numpy.ndarray:
    """Sums of the values at each place, modulo 2 to the 64; ``places`` are sorted."""
    sums = numpy.zeros(size, numpy.uint64)
    first = numpy.flatnonzero(numpy.diff(places, prepend=-1))
    if len(first):
        sums[places[first]] = numpy.add.reduceat(values, first)
    return sums


def _mixed(values: numpy.ndarray, salt: int) -> numpy.ndarray:
    """A bijection of 64-bit integers that spreads its bits (Steele et al., 2014, "SplitMix")."""
    with numpy.errstate(over="ignore"):
        x = values + numpy.uint64(salt)
        x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return x ^ (x >> numpy.uint64(31))
