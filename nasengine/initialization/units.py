"""Units of a network: the cells, layers or blocks that are repeated, found in the names of a graph's nodes.

Spaces name what they repeat by numbers: ``cells/3/edge0/sep_conv_3x3/norm1`` is part of the unit ``cells/3``. Nodes
without a number in their name, those of stem and head, are one unit without a name.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

from nasengine.graph.computation_graph import ComputationGraph


@dataclass(frozen=True)
class Unit:
    """A part of a network.

    Args:
        name: what its nodes' names begin with; empty for stem and head.
        nodes: indices, ascending.
        local_names: names of these nodes within the unit.
        signature: equal for units that compute the same on the same sizes: hash of operations, names and wiring.
    """

    name: str
    nodes: tuple[int, ...]
    local_names: tuple[str, ...]
    signature: str


def units_of(graph: ComputationGraph) -> list[Unit]:
    """The units, in the order of their first nodes.

    >>> from nasengine.graph import GraphBuilder
    >>> builder = GraphBuilder()
    >>> last = builder.add("conv", builder.input((3, 8, 8)), name="stem/conv", channels=4)
    >>> for index in range(2):
    ...     last = builder.add("relu", last, name=f"layers/{index}/relu")
    >>> first, second, third = units_of(builder.build(last))
    >>> first.name, second.name, third.local_names, second.signature == third.signature
    ('', 'layers/0', ('relu',), True)
    """
    members: dict[str, list[int]] = {}
    for index, name in enumerate(graph.names):
        members.setdefault(_unit_name(name), []).append(index)
    return [_unit(graph, name, nodes) for name, nodes in members.items()]


def _unit_name(node_name: str) -> str:
    """Everything up to the last part that is a number."""
    parts = node_name.split("/")
    last = max((place for place, part in enumerate(parts[:-1]) if part.isdecimal()), default=-1)
    return "/".join(parts[: last + 1])


def _unit(graph: ComputationGraph, name: str, nodes: list[int]) -> Unit:
    begin = len(name) + 1 if name else 0
    local = {node: graph.names[node][begin:] for node in nodes}
    content = [
        [local[node], asdict(graph.operations[node]), [local.get(source, "") for source in graph.inputs[node]]]
        for node in nodes
    ]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    return Unit(name, tuple(nodes), tuple(local.values()), digest)


def runs_of(units: Sequence[Unit]) -> list[list[Unit]]:
    """Maximal runs of consecutive units with one signature; stem and head, which come first, are a run of one."""
    return [list(run) for _, run in groupby(units, key=lambda unit: unit.signature)]
