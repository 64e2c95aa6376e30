"""What a latency predictor is told about networks: how much work of each sort, and where each layer stands.

Work is what any device has to do; where a layer stands decides what its runtime fuses: in the measurements of
HW-NAS-Bench a convolution that is the last operand of a sum costs a tenth of one that is the first.
"""

import math
from functools import lru_cache

import numpy

from nasengine.graph.computation_graph import Operation
from nasengine.graph.cost import operation_macs
from predictors.graph_batch import GraphBatch
from predictors.latency.executed import Execution
from predictors.live_nodes import kind_mask

SORTS = ("wide", "pointwise", "grouped", "pool", "linear", "junction", "other")
LAYERS = ("wide", "pointwise", "grouped", "pool", "identity", "zero")
MEASURES = ("number", "macs", "values")
SUMS = ("no sum", "sum of 1", "sum of 2", "sum of more")
SLOTS = ("none", "only", "last", "middle", "first")
WORK_NAMES = tuple(f"{measure} of {sort}" for sort in SORTS for measure in MEASURES)
PLACE_NAMES = (
    *(f"{layer} after {source}" for layer in LAYERS for source in SUMS),
    *(f"{layer} as operand: {slot}" for layer in LAYERS for slot in SLOTS),
    *(f"{layer} on a constant" for layer in LAYERS),
    *(f"{layer} multiplied by zero" for layer in LAYERS),
    *(f"{layer} in a sum multiplied by zero" for layer in LAYERS),
    *(f"working {source}" for source in SUMS),
    "is connected",
)  # fmt: skip
_WEIGHTED, _POOLS = frozenset(("conv",)), frozenset(("max_pool", "avg_pool"))
_FREE = frozenset(("input", "identity", "zero", "dropout", "batch_norm"))


def work_features(execution: Execution) -> numpy.ndarray:
    """Numbers, multiply-accumulates and values read or written of each sort of operation, (num_graphs, 21).

    What works on constants counts: it is executed.
    """
    batch = execution.batch
    rows = numpy.array([[1.0, operation_macs(found), _values(found)] for found in batch.operations])
    sorts = numpy.array([_sort(found) for found in batch.operations])
    table = numpy.zeros((len(batch.operations), len(SORTS), len(MEASURES)))
    costly = numpy.flatnonzero(sorts >= 0)
    table[costly, sorts[costly]] = rows[costly]
    counts = _counts(batch, execution.executed, batch.operation_index, len(batch.operations))
    return counts @ table.reshape(len(table), -1)


def place_features(execution: Execution) -> numpy.ndarray:
    """How many layers stand in each of ``PLACE_NAMES``, (num_graphs, len(PLACE_NAMES))."""
    batch, layers = execution.batch, numpy.array([_layer(found) for found in execution.batch.operations])
    layer = layers[batch.operation_index]
    is_layer, working = layer >= 0, execution.working | (execution.zero & execution.executed)
    used = is_layer & working
    sources, slots = _sources(execution), _slots(execution)
    direct, behind = execution.held()
    is_sum = kind_mask(batch, frozenset(("add",)))
    operands = _operands(execution, execution.working)
    connected = execution.working[batch.outputs].astype(float)
    return numpy.hstack([
        _counts(batch, used, layer * len(SUMS) + sources, len(LAYERS) * len(SUMS)),
        _counts(batch, used & ~execution.zero, layer * len(SLOTS) + slots, len(LAYERS) * len(SLOTS)),
        *(_counts(batch, is_layer & mask & ~execution.zero, layer, len(LAYERS))
          for mask in (execution.constant, direct, behind)),
        _counts(batch, is_sum & execution.working, operands.clip(max=len(SUMS) - 1), len(SUMS)),
        connected[:, None],
    ])  # fmt: skip


def _sources(execution: Execution) -> numpy.ndarray:
    """Which of ``SUMS`` feeds each node, (num_nodes,)."""
    batch = execution.batch
    is_sum = kind_mask(batch, frozenset(("add",)))
    operands = numpy.bincount(batch.targets, minlength=batch.num_nodes).clip(max=len(SUMS) - 1)
    first = numpy.zeros(batch.num_nodes, int)
    first[batch.targets[::-1]] = batch.sources[::-1]  # the first operand of each node is written last
    feeding = execution.origin[first]
    return numpy.where(is_sum[feeding], operands[feeding], 0)


def _slots(execution: Execution) -> numpy.ndarray:
    """Which of ``SLOTS`` each node takes among the working operands of the sum that reads it, (num_nodes,)."""
    batch = execution.batch
    is_sum = kind_mask(batch, frozenset(("add",)))
    edges = numpy.flatnonzero(
        is_sum[batch.targets] & execution.working[batch.sources] & execution.working[batch.targets]
    )
    targets = batch.targets[edges]
    new = numpy.diff(targets, prepend=-1) != 0
    last = numpy.append(new[1:], True) if len(edges) else new
    slot = numpy.where(new & last, 1, numpy.where(last, 2, numpy.where(new, 4, 3)))
    found = numpy.zeros(batch.num_nodes, int)
    found[execution.origin[batch.sources[edges]]] = slot
    return found


def _operands(execution: Execution, kept: numpy.ndarray) -> numpy.ndarray:
    batch = execution.batch
    return numpy.bincount(batch.targets[kept[batch.sources]], minlength=batch.num_nodes)


def _counts(batch: GraphBatch, mask: numpy.ndarray, group: numpy.ndarray, num_groups: int) -> numpy.ndarray:
    """How many of the masked nodes of each graph belong to each group, (num_graphs, num_groups)."""
    place = batch.graph_index[mask] * num_groups + group[mask]
    return numpy.bincount(place, minlength=len(batch) * num_groups).reshape(len(batch), num_groups).astype(float)


@lru_cache(maxsize=65536)
def _values(operation: Operation) -> int:
    return math.prod(operation.output_shape) + sum(map(math.prod, operation.input_shapes))


@lru_cache(maxsize=65536)
def _sort(operation: Operation) -> int:
    if operation.kind in _FREE:
        return -1
    if operation.kind in ("linear", "matmul"):
        return SORTS.index("linear")
    if operation.kind in ("add", "concat", "multiply"):
        return SORTS.index("junction")
    name = _name(operation)
    return SORTS.index(name if name in SORTS else "other")


@lru_cache(maxsize=65536)
def _layer(operation: Operation) -> int:
    name = _name(operation)
    return LAYERS.index(name) if name in LAYERS else -1


def _name(operation: Operation) -> str:
    if operation.kind == "conv":
        return "grouped" if operation.groups > 1 else "wide" if max(operation.kernel) > 1 else "pointwise"
    return "pool" if operation.kind in _POOLS else operation.kind
