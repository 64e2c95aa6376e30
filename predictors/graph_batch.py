"""Many computation graphs as a few arrays: the one form in which predictors see them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy

if TYPE_CHECKING:
    import scipy.sparse

from nasengine.graph import ComputationGraph
from nasengine.graph.computation_graph import Operation

_WITHOUT_WEIGHTS = frozenset((
    "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hard_sigmoid", "hard_swish", "max_pool",
    "avg_pool", "mean", "pad", "slice", "truncate", "flatten", "reshape", "transpose",
))  # fmt: skip


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """Nodes of all graphs one after the other, each graph in its topological order.

    Args:
        operations: the different operations of the batch; graphs of one space share most of theirs.
        operation_index: which of them a node is, (num_nodes,).
        starts: first node of each graph, and the number of all nodes at the end, (num_graphs + 1,).
        sources, targets: nodes that each edge connects, (num_edges,), sorted by target.
        outputs: the node whose value each graph returns first, (num_graphs,).
    """

    operations: tuple[Operation, ...]
    operation_index: numpy.ndarray
    starts: numpy.ndarray
    sources: numpy.ndarray
    targets: numpy.ndarray
    outputs: numpy.ndarray

    @classmethod
    def of(cls, graphs: Sequence[ComputationGraph], *, as_exported: bool = False) -> "GraphBatch":
        """Put graphs into arrays; nothing is worked out twice for operations that are one object.

        Args:
            graphs: at least one.
            as_exported: drop identities, and batch norms that are a convolution's only reader, which gets a bias, and
                join equal operations without weights: what exporters do, so that a network and its file look alike.
        """
        lengths = numpy.fromiter(map(len, graphs), numpy.int64, len(graphs))
        starts = numpy.concatenate(([0], lengths.cumsum()))
        every = list(chain.from_iterable(graph.operations for graph in graphs))
        identities = numpy.fromiter(map(id, every), numpy.int64, len(every))
        _, first, index = numpy.unique(identities, return_index=True, return_inverse=True)
        inputs = list(chain.from_iterable(graph.inputs for graph in graphs))
        counts = numpy.fromiter(map(len, inputs), numpy.int64, len(inputs))
        targets = numpy.arange(len(every)).repeat(counts)
        flat = numpy.fromiter(chain.from_iterable(inputs), numpy.int64, len(targets))
        graph_of_target = numpy.arange(len(graphs)).repeat(lengths)[targets]
        outputs = numpy.array([graph.outputs[0] for graph in graphs], numpy.int64) + starts[:-1]
        operations = tuple(every[place] for place in first)
        batch = cls(operations, index, starts, flat + starts[graph_of_target], targets, outputs)
        return batch._as_exported() if as_exported else batch

    def _as_exported(self) -> "GraphBatch":
        readers = numpy.bincount(self.sources, minlength=self.num_nodes)
        readers[self.outputs] += 1
        folded = self._is_of_kind(("batch_norm",))[self.targets] & self._is_of_kind(("conv",))[self.sources]
        folded &= readers[self.sources] == 1
        convs = self.sources[folded]
        stands_for = numpy.arange(self.num_nodes)
        dropped = folded | self._is_of_kind(("identity", "dropout"))[self.targets]
        stands_for[self.targets[dropped]] = self.sources[dropped]
        stands_for = self._with_equals_joined(stands_for)
        return self._restricted(stands_for, convs)

    def _is_of_kind(self, kinds: Collection[str]) -> numpy.ndarray:
        """Which nodes are, (num_nodes,)."""
        return numpy.array([found.kind in kinds for found in self.operations])[self.operation_index]

    def _with_equals_joined(self, stands_for: numpy.ndarray) -> numpy.ndarray:
        """Let nodes without weights that do the same to the same node stand for each other, one after another."""
        place_by_operation: dict[Operation, int] = {}
        places = [place_by_operation.setdefault(found, len(place_by_operation)) for found in self.operations]
        operation = numpy.array(places)[self.operation_index]
        lone = numpy.bincount(self.targets, minlength=self.num_nodes)[self.targets] == 1
        lone &= self._is_of_kind(_WITHOUT_WEIGHTS)[self.targets]
        nodes, sources = self.targets[lone], self.sources[lone]
        while True:
            while not numpy.array_equal(stands_for, further := stands_for[stands_for]):
                stands_for = further
            keys = operation[nodes] * self.num_nodes + stands_for[sources]
            _, first, inverse = numpy.unique(keys, return_index=True, return_inverse=True)
            joined = stands_for.copy()
            joined[nodes] = stands_for[nodes[first[inverse]]]
            if numpy.array_equal(joined, stands_for):
                return stands_for
            stands_for = joined

    def _restricted(self, stands_for: numpy.ndarray, biased: numpy.ndarray) -> "GraphBatch":
        """Only nodes that stand for themselves; ``biased`` convolutions have a bias."""
        kept = stands_for == numpy.arange(self.num_nodes)
        places = (kept.cumsum() - 1)[stands_for]
        index = self.operation_index.copy()
        changed, index[biased] = numpy.unique(index[biased], return_inverse=True)
        index[biased] += len(self.operations)
        with_bias = [replace(self.operations[place], bias=True) for place in changed]
        edges = kept[self.targets]
        return GraphBatch(
            (*self.operations, *with_bias), index[kept],
            numpy.concatenate(([0], kept.cumsum()))[self.starts],
            places[self.sources[edges]], places[self.targets[edges]], places[self.outputs],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def num_nodes(self) -> int:
        """Nodes of all graphs."""
        return int(self.starts[-1])

    @cached_property
    def graph_index(self) -> numpy.ndarray:
        """The graph of each node, (num_nodes,)."""
        return numpy.arange(len(self)).repeat(numpy.diff(self.starts))

    def num_operations_by_graph(self) -> "scipy.sparse.csr_array":
        """How often each graph has each operation, (num_graphs, len(operations))."""
        import scipy.sparse

        shape = (len(self), len(self.operations))
        return scipy.sparse.csr_array((numpy.ones(self.num_nodes), self.operation_index, self.starts), shape=shape)
