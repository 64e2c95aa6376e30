"""What a runtime executes of a network: not what nobody reads, but what reads nothing but zeros.

Graph optimisers remove layers that no output sees. An operation ``zero`` cuts what feeds it off; what it feeds stays,
as a layer on a constant. A layer whose values are multiplied by zero and by nothing else often stays too, since
converters fold the factor into its weights (seen in the measurements of HW-NAS-Bench, Li et al., 2021, arXiv
2103.10584: on the Raspberry Pi 4 such a convolution takes as long as any other).
"""

from dataclasses import dataclass

import numpy

from predictors.graph_batch import GraphBatch
from predictors.live_nodes import kind_mask, reach

PASSED = frozenset(("relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hard_sigmoid", "hard_swish",
                    "batch_norm", "dropout"))  # fmt: skip
"""Kinds that are looked through: what feeds them feeds the layers after them."""


@dataclass(frozen=True, eq=False)
class Execution:
    """Masks over the nodes of a batch, (num_nodes,) each, and where values come from.

    Args:
        batch: the graphs.
        zero: operations that give zeros.
        executed: what an output sees, ``zero`` included.
        constant: executed, but sees nothing of the input.
        origin: the node behind activations and norms whose value each node's value is made from.
    """

    batch: GraphBatch
    zero: numpy.ndarray
    executed: numpy.ndarray
    constant: numpy.ndarray
    origin: numpy.ndarray

    @classmethod
    def of(cls, batch: GraphBatch) -> "Execution":
        """Follow all graphs backward from their outputs, and forward from their inputs."""
        zero, seeing, executed = reach(batch)
        return cls(batch, zero, executed, executed & ~seeing, _origins(batch))

    @property
    def working(self) -> numpy.ndarray:
        """Nodes that work on what comes from the input."""
        return self.executed & ~self.constant

    def held(self) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Nodes that are not executed in vain alone: what ``zero`` reads, directly and as the only operand of a sum."""
        batch = self.batch
        is_sum = kind_mask(batch, frozenset(("add",)))
        dead = ~self.executed & ~self.zero
        direct = numpy.zeros(batch.num_nodes, bool)
        direct[self.origin[batch.sources[self.zero[batch.targets]]]] = True
        real = ~self.zero[batch.sources]
        operands = numpy.bincount(batch.targets[real], minlength=batch.num_nodes)
        lonely = direct & is_sum & dead & (operands == 1)
        behind = numpy.zeros(batch.num_nodes, bool)
        behind[self.origin[batch.sources[real & lonely[batch.targets]]]] = True
        return direct & dead & ~is_sum, behind & dead & ~direct


def _origins(batch: GraphBatch) -> numpy.ndarray:
    origin = numpy.arange(batch.num_nodes)
    into = kind_mask(batch, PASSED)[batch.targets]
    origin[batch.targets[into]] = batch.sources[into]
    while not numpy.array_equal(origin, further := origin[origin]):
        origin = further
    return origin
