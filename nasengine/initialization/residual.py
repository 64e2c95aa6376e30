"""Scales of residual updates, where a unit is repeated more or less often than it was in training."""

from collections.abc import Sequence

import torch
from torch import nn

from nasengine.graph.computation_graph import ComputationGraph
from nasengine.initialization.stages import Place
from nasengine.initialization.units import Unit
from nasengine.network import GraphNetwork, module_key


def scale_residuals(network: GraphNetwork, places: Sequence[Place]) -> None:
    """Multiply the last norms or linear layers of residual units by (repeats in training / repeats here), in place.

    To first order the sum of all updates of a stage stays what it was. Units that are not residual, and stages of one
    unit in both networks, are left alone.
    """
    with torch.no_grad():
        for place in places:
            factor = place.stage.size / place.repeats
            if factor == 1:
                continue
            for node in residual_ends(network, place.unit):
                module = network.nodes[module_key(network.graph.names[node])]
                for parameter in module.parameters():
                    parameter.mul_(factor)


def residual_ends(network: GraphNetwork, unit: Unit) -> list[int]:
    """Nodes of batch norms or linear layers whose outputs are added to what came into the unit unchanged.

    Empty where the unit has no path without weights from its input to its output.
    """
    graph, inside = network.graph, set(unit.nodes)
    found: list[int] = []
    open_sums = [_through(graph, unit.nodes[-1], inside)]
    while open_sums:
        total = open_sums.pop()
        if total not in inside or graph.operations[total].kind != "add":
            continue
        parts = [_through(graph, source, inside) for source in graph.inputs[total]]
        if not any(_passes(graph, part, inside) for part in parts):
            continue
        for part in parts:
            if part in inside and graph.operations[part].kind == "add":
                open_sums.append(part)
            elif part in inside and isinstance(_module(network, part), (nn.BatchNorm2d, nn.Linear)):
                found.append(part)
    return found


def _module(network: GraphNetwork, node: int) -> nn.Module | None:
    return dict(network.nodes.items()).get(module_key(network.graph.names[node]))


def _through(graph: ComputationGraph, node: int, inside: set[int]) -> int:
    """The node whose value an identity hands on."""
    while node in inside and graph.operations[node].kind == "identity":
        (node,) = graph.inputs[node]
    return node


def _passes(graph: ComputationGraph, node: int, inside: set[int]) -> bool:
    """Whether a value is what came into the unit, or a sum that contains it."""
    if node not in inside:
        return True
    if graph.operations[node].kind == "add":
        return any(_passes(graph, _through(graph, source, inside), inside) for source in graph.inputs[node])
    return False


def hands_on_without(network: GraphNetwork, unit: Unit, ends: Sequence[int]) -> bool:
    """Whether a unit's output is its one input as it came, once the ends give zeros."""
    graph, inside = network.graph, set(unit.nodes)
    inputs = {source for node in unit.nodes for source in graph.inputs[node] if source not in inside}
    node = _through(graph, unit.nodes[-1], inside)
    while node in inside and graph.operations[node].kind == "add":
        parts = [_through(graph, source, inside) for source in graph.inputs[node]]
        left = [part for part in parts if part not in ends]
        if len(left) != 1:
            return False
        node = left[0]
    return inputs == {node}
