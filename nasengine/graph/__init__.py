"""Computation graphs: one primitive operation a node, for whole networks. Nothing here imports torch."""

from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph, Operation, Shape
from nasengine.graph.cost import GraphCost, cost, tabled_flops
from nasengine.graph.fingerprint import fingerprint
from nasengine.graph.passes import canonical, merge_duplicates, prune
from nasengine.graph.serialization import from_json, to_json
from nasengine.graph.supergraph import ChoiceStep, SuperGraph

__all__ = [
    "ChoiceStep",
    "ComputationGraph",
    "GraphBuilder",
    "GraphCost",
    "Operation",
    "Shape",
    "SuperGraph",
    "canonical",
    "cost",
    "fingerprint",
    "from_json",
    "merge_duplicates",
    "prune",
    "tabled_flops",
    "to_json",
]
