"""What a predictor is told about a primitive operation.

GENNAPE (Mills et al., 2023, arXiv 2211.17226) gives a node its kind, resolutions, kernel and bias. Stride, padding,
dilation, groups, and what the operation costs are added here: networks differ in them and in nothing else.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy

from nasengine.graph.computation_graph import Operation
from nasengine.graph.cost import operation_macs, operation_parameters
from nasengine.graph.shapes import KINDS

_NEWER_KINDS = ("other", "resize")
"""Not in the vocabulary of the weights that are shipped, which a longer one would make unreadable."""
KIND_NAMES = ("other", "input", *(kind for kind in KINDS if kind not in _NEWER_KINDS))
"""Vocabulary of kinds; what is not in it counts as ``other``."""
NUMBERS = (
    "log channels in", "log channels out", "log pixels in", "log pixels out", "kernel height", "kernel width",
    "stride height", "stride width", "padding", "dilation", "log groups", "is depthwise", "bias", "num inputs",
    "log macs", "log parameters", "affine",
)  # fmt: skip
"""Names of the numbers that describe an operation, in order; all are of the order of 1."""


def kind_indices(operations: Sequence[Operation]) -> numpy.ndarray:
    """Place of each operation's kind in ``KIND_NAMES``, (num_operations,)."""
    return numpy.array([_PLACES.get(operation.kind, 0) for operation in operations], numpy.int64)


def operation_features(operations: Sequence[Operation]) -> numpy.ndarray:
    """One row of ``NUMBERS`` for each operation, float32, (num_operations, len(NUMBERS))."""
    return numpy.array([_row(operation) for operation in operations], numpy.float32).reshape(-1, len(NUMBERS))


_PLACES = {name: place for place, name in enumerate(KIND_NAMES)}


@lru_cache(maxsize=65536)
def _row(operation: Operation) -> tuple[float, ...]:
    before = operation.input_shapes[0] if operation.input_shapes else operation.output_shape
    after = operation.output_shape
    depthwise = operation.groups > 1 and operation.groups == before[0]
    return (
        _log(before[0]) / 10, _log(after[0]) / 10, _pixels(before) / 16, _pixels(after) / 16,
        operation.kernel[0] / 3, operation.kernel[1] / 3, (operation.stride[0] - 1) / 2, (operation.stride[1] - 1) / 2,
        max(operation.padding) / 3, (max(operation.dilation) - 1) / 2, _log(operation.groups) / 10, float(depthwise),
        float(operation.bias), len(operation.input_shapes) / 4, _log(operation_macs(operation)) / 25,
        _log(operation_parameters(operation)) / 20, float(bool(operation.attribute("affine", True))),
    )  # fmt: skip


def _log(value: int) -> float:
    return math.log2(1 + value)


def _pixels(shape: tuple[int, ...]) -> float:
    return _log(math.prod(shape[1:]))
