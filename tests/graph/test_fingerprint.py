"""Fingerprints: blind to numbering and names, and to nothing else."""

import random

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasengine.graph import ComputationGraph, GraphBuilder, Operation, fingerprint
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201

SHAPE = (4, 8, 8)
KINDS = ("relu", "sigmoid", "tanh", "identity")


def random_graph(rng: random.Random, size: int) -> ComputationGraph:
    builder = GraphBuilder()
    nodes = [builder.input(SHAPE)]
    for index in range(size):
        if rng.random() < 0.4 and len(nodes) > 1:
            first, second = rng.sample(nodes, 2)
            nodes.append(builder.add(rng.choice(("add", "sub")), first, second, name=f"n{index}"))
        else:
            nodes.append(builder.add(rng.choice(KINDS), rng.choice(nodes), name=f"n{index}"))
    return builder.build(nodes[-1])


def relabelled(graph: ComputationGraph, rng: random.Random) -> ComputationGraph:
    """The same graph with its nodes in another topological order, and with addends swapped."""
    order: list[int] = []
    waiting = {node: set(sources) for node, sources in enumerate(graph.inputs)}
    while waiting:
        node = rng.choice([node for node, missing in waiting.items() if not missing])
        order.append(node)
        del waiting[node]
        for missing in waiting.values():
            missing.discard(node)
    place = {node: index for index, node in enumerate(order)}
    inputs = []
    for node in order:
        sources = [place[source] for source in graph.inputs[node]]
        if graph.operations[node].kind == "add":
            rng.shuffle(sources)
        inputs.append(tuple(sources))
    names = tuple(f"other{index}" for index in range(len(order)))
    outputs = tuple(place[output] for output in graph.outputs)
    return ComputationGraph(tuple(graph.operations[node] for node in order), tuple(inputs), outputs, names)


@given(seed=st.integers(0, 10**6), size=st.integers(1, 25))
def test_relabelling_changes_nothing(seed, size):
    rng = random.Random(seed)
    graph = random_graph(rng, size)
    assert fingerprint(relabelled(graph, rng)) == fingerprint(graph)


@given(seed=st.integers(0, 10**6), size=st.integers(2, 12))
def test_changing_one_operation_changes_the_fingerprint(seed, size):
    rng = random.Random(seed)
    graph = random_graph(rng, size)
    node = rng.choice([i for i, operation in enumerate(graph.operations) if operation.kind in KINDS] or [0])
    if node == 0:
        return
    other = next(kind for kind in KINDS if kind != graph.operations[node].kind)
    operations = list(graph.operations)
    operations[node] = Operation(other, operations[node].input_shapes, operations[node].output_shape)
    changed = ComputationGraph(tuple(operations), graph.inputs, graph.outputs, graph.names)
    assert fingerprint(changed) != fingerprint(graph)


@given(first=st.integers(0, 10**6), second=st.integers(0, 10**6))
def test_agrees_with_exact_isomorphism(first, second):
    """networkx decides isomorphism exactly on graphs small enough for it."""
    graphs = [random_graph(random.Random(seed), 4) for seed in (first, second)]
    views = [isomorphism_view(graph) for graph in graphs]
    same = networkx.is_isomorphic(
        *views, node_match=lambda a, b: a["label"] == b["label"], edge_match=lambda a, b: a["slots"] == b["slots"]
    )
    assert (fingerprint(graphs[0]) == fingerprint(graphs[1])) == same


def isomorphism_view(graph: ComputationGraph) -> networkx.DiGraph:
    view = networkx.DiGraph()
    for node, operation in enumerate(graph.operations):
        view.add_node(node, label=(operation, node in graph.outputs))
    for source, target, slot in graph.edges:
        slots = view.get_edge_data(source, target, {"slots": ()})["slots"]
        free = graph.operations[target].kind == "add"
        view.add_edge(source, target, slots=tuple(sorted((*slots, 0 if free else slot))))
    return view


def test_shared_and_repeated_work_differ():
    def build(shared: bool) -> ComputationGraph:
        builder = GraphBuilder()
        image = builder.input(SHAPE)
        first = builder.add("relu", image, name="a")
        second = first if shared else builder.add("relu", image, name="b")
        return builder.build(builder.add("add", first, second, name="sum"))

    assert fingerprint(build(True)) != fingerprint(build(False))


def test_slots_count_where_order_matters():
    def build(swapped: bool) -> ComputationGraph:
        builder = GraphBuilder()
        image = builder.input(SHAPE)
        parts = [image, builder.add("relu", image, name="a")]
        return builder.build(builder.add("sub", *(parts[::-1] if swapped else parts), name="difference"))

    assert fingerprint(build(True)) != fingerprint(build(False))


@pytest.mark.parametrize("space", [DARTS, NASBENCH201], ids=lambda space: space.name)
def test_different_architectures_differ(space):
    found = {space.sample(random.Random(seed)) for seed in range(60)}
    graphs = [space.to_graph(architecture, space.defaults) for architecture in found]
    # Two genotypes may be one graph up to isomorphism; among 60 random ones hardly any are.
    assert len({fingerprint(graph) for graph in graphs}) >= len(found) - 2
