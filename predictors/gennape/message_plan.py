"""What a graph network has to compute for a batch of graphs, each different surrounding once.

After ``k`` layers a node's embedding depends on its surroundings within ``k`` steps only. Networks of one space repeat
cells and share parts, so that few surroundings are different: 2.1 million nodes of the 9,445 unique networks of
NAS-Bench-201 have 420 thousand after three layers, and 1.3 thousand after one.
"""

from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from predictors.colours import refined_colours
from predictors.graph_batch import GraphBatch
from predictors.operation_features import kind_indices, operation_features


@dataclass(frozen=True, eq=False)
class Level:
    """One layer's work: embeddings of this level's surroundings from those of the level before.

    Args:
        previous: the surrounding of each one's own node in the level before, (num_surroundings,).
        from_inputs: edges from what feeds a node, (2, num_edges): number in the level before, number in this level.
        from_outputs: the same for what a node feeds.
    """

    previous: Tensor
    from_inputs: Tensor
    from_outputs: Tensor


@dataclass(frozen=True, eq=False)
class MessagePlan:
    """Different operations, the levels above them, and how often each graph has each surrounding of the last level.

    Args:
        kinds: of the different operations, places in ``KIND_NAMES``, (num_operations,).
        numbers: of the different operations, (num_operations, len(NUMBERS)).
        levels: in order.
        graph_index: the graph of each pair of a graph and a surrounding, sorted, (num_pairs,).
        surrounding_index: the surrounding of each pair, (num_pairs,).
        counts: how many of the graph's nodes have it, (num_pairs,).
        num_graphs: rows of the result.
    """

    kinds: Tensor
    numbers: Tensor
    levels: tuple[Level, ...]
    graph_index: Tensor
    surrounding_index: Tensor
    counts: Tensor
    num_graphs: int

    @classmethod
    def of(cls, batch: GraphBatch, rounds: int, *, backward: bool = True) -> "MessagePlan":
        """Work out the plan for ``rounds`` layers, which look backward along edges too or not."""
        place_by_operation: dict[object, int] = {}
        places = [place_by_operation.setdefault(found, len(place_by_operation)) for found in batch.operations]
        operations = list(dict.fromkeys(batch.operations))
        numbers = numpy.array(places, numpy.int64)[batch.operation_index]
        levels = []
        for colours in refined_colours(batch, numbers, rounds, backward=backward)[1:]:
            _, first, renumbered = numpy.unique(colours, return_index=True, return_inverse=True)
            into = _edges(batch.sources, batch.targets, first, numbers, batch.num_nodes)
            order = numpy.argsort(batch.sources, kind="stable")
            out = _edges(batch.targets[order], batch.sources[order], first, numbers, batch.num_nodes)
            levels.append(Level(torch.from_numpy(numbers[first]), into, out))
            numbers = renumbered
        pairs, counts = numpy.unique(batch.graph_index * (int(numbers.max()) + 1) + numbers, return_counts=True)
        graph_index, surrounding_index = numpy.divmod(pairs, int(numbers.max()) + 1)
        return cls(
            torch.from_numpy(kind_indices(operations)),
            torch.from_numpy(operation_features(operations)),
            tuple(levels),
            torch.from_numpy(graph_index),
            torch.from_numpy(surrounding_index),
            torch.from_numpy(counts.astype(numpy.float32)),
            len(batch),
        )


def _edges(
    sources: numpy.ndarray, targets: numpy.ndarray, first: numpy.ndarray, numbers: numpy.ndarray, num_nodes: int
) -> Tensor:
    """Edges into the first node of each surrounding; ``targets`` are sorted."""
    surrounding = numpy.full(num_nodes, -1)
    surrounding[first] = numpy.arange(len(first))
    kept = numpy.flatnonzero(surrounding[targets] >= 0)
    return torch.from_numpy(numpy.stack([numbers[sources[kept]], surrounding[targets[kept]]]))
