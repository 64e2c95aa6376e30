"""A fingerprint of a graph that does not depend on how its nodes are numbered or named."""

import hashlib
from functools import lru_cache

from nasengine.graph.computation_graph import ComputationGraph, Operation

_COMMUTATIVE = frozenset({"add", "mul", "mix"})


@lru_cache(maxsize=65536)
def _operation_digest(operation: Operation) -> bytes:
    return _digest(repr(operation).encode())


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def fingerprint(graph: ComputationGraph, sweeps: int = 2) -> str:
    """sha256 colour refinement along and against the edges (Weisfeiler and Leman, 1968, on a directed graph).

    A forward sweep gives every node the digest of its operation and of its inputs (slot by slot; as a multiset where
    the operation is commutative); a backward sweep adds the multiset of its consumers. Two rounds tell apart subtrees
    that are equal but shared from such that are computed twice. Equal graphs up to node order and names have equal
    fingerprints; names do not enter.

    Args:
        graph: the graph.
        sweeps: rounds of forward and backward refinement.

    Returns:
        64 hexadecimal digits.
    """
    labels = [_operation_digest(operation) for operation in graph.operations]
    for output_index, output in enumerate(graph.outputs):
        labels[output] = _digest(labels[output], b"output", str(output_index).encode())
    for _ in range(sweeps):
        for index, sources in enumerate(graph.inputs):
            parts = [labels[source] for source in sources]
            if graph.operations[index].kind in _COMMUTATIVE:
                parts.sort()
            labels[index] = _digest(labels[index], b"inputs", *parts)
        consumers: list[list[bytes]] = [[] for _ in labels]
        for index in range(len(labels) - 1, -1, -1):
            labels[index] = _digest(labels[index], b"consumers", *sorted(consumers[index]))
            commutative = graph.operations[index].kind in _COMMUTATIVE
            for slot, source in enumerate(graph.inputs[index]):
                consumers[source].append(_digest(labels[index], b"" if commutative else str(slot).encode()))
    return hashlib.sha256(b"".join(sorted(labels))).hexdigest()
