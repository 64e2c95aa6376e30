"""Many computation graphs as a few arrays: the one form in which predictors see them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy

if TYPE_CHECKING:
    import scipy.sparse

from nasengine.graph import ComputationGraph
from nasengine.graph.computation_graph import Operation


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
    def of(cls, graphs: Sequence[ComputationGraph], *, fold_batch_norms: bool = False) -> "GraphBatch":
        """Put graphs into arrays; nothing is worked out twice for operations that are one object.

        Args:
            graphs: at least one.
            fold_batch_norms: give a convolution whose only reader is a batch norm a bias, and drop the batch norm, as
                exporters do: a network and its ONNX file so look alike.
        """
        lengths = numpy.fromiter(map(len, graphs), numpy.int64, len(graphs))
        starts = numpy.concatenate(([0], lengths.cumsum()))
        every = list(chain.from_iterable(graph.operations for graph in graphs))
        identities = numpy.fromiter(map(id, every), numpy.int64, len(every))
        _, first, index = numpy.unique(identities, return_index=True, return_inverse=True)
        order = numpy.argsort(first)  # of appearance: addresses in memory differ from run to run
        first, index = first[order], numpy.argsort(order)[index]
        inputs = list(chain.from_iterable(graph.inputs for graph in graphs))
        counts = numpy.fromiter(map(len, inputs), numpy.int64, len(inputs))
        targets = numpy.arange(len(every)).repeat(counts)
        flat = numpy.fromiter(chain.from_iterable(inputs), numpy.int64, len(targets))
        graph_of_target = numpy.arange(len(graphs)).repeat(lengths)[targets]
        outputs = numpy.array([graph.outputs[0] for graph in graphs], numpy.int64) + starts[:-1]
        operations = tuple(every[place] for place in first)
        batch = cls(operations, index, starts, flat + starts[graph_of_target], targets, outputs)
        return batch._folded() if fold_batch_norms else batch

    def _folded(self) -> "GraphBatch":
        is_norm = numpy.array([found.kind == "batch_norm" for found in self.operations])[self.operation_index]
        is_conv = numpy.array([found.kind == "conv" for found in self.operations])[self.operation_index]
        readers = numpy.bincount(self.sources, minlength=self.num_nodes)
        readers[self.outputs] += 1
        edges = numpy.flatnonzero(is_norm[self.targets] & is_conv[self.sources] & (readers[self.sources] == 1))
        norms, convs = self.targets[edges], self.sources[edges]
        kept = numpy.ones(self.num_nodes, bool)
        kept[norms] = False
        stands_for = numpy.arange(self.num_nodes)
        stands_for[norms] = convs
        places = (kept.cumsum() - 1)[stands_for]
        staying = kept[self.targets]
        index = self.operation_index.copy()
        folded, index[convs] = numpy.unique(index[convs], return_inverse=True)
        index[convs] += len(self.operations)
        biased = [replace(self.operations[place], bias=True) for place in folded]
        return GraphBatch(
            (*self.operations, *biased), index[kept],
            numpy.concatenate(([0], kept.cumsum()))[self.starts],
            places[self.sources[staying]], places[self.targets[staying]], places[self.outputs],
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
