"""The graph type itself: edges, views, checks."""

import networkx
import pytest

from nasengine.errors import GraphError
from nasengine.graph import ComputationGraph, GraphBuilder, Operation


def small_graph() -> ComputationGraph:
    builder = GraphBuilder()
    image = builder.input((3, 8, 8))
    conv = builder.add("conv", image, name="conv", channels=3, kernel=3, padding=1)
    return builder.build(builder.add("concat", image, conv, name="join", axis=0))


def test_edges_carry_slots():
    assert small_graph().edges == ((0, 1, 0), (0, 2, 0), (1, 2, 1))


def test_networkx_view_is_frozen_and_complete():
    graph = small_graph()
    view = graph.networkx
    assert networkx.is_frozen(view)
    assert view.nodes[1]["operation"] is graph.operations[1]
    assert [data["slot"] for _, _, data in view.edges(data=True)] == [0, 0, 1]
    assert graph.networkx is view


def test_names_do_not_count_for_equality_and_graphs_are_hashable():
    graph = small_graph()
    renamed = ComputationGraph(graph.operations, graph.inputs, graph.outputs, ("a", "b", "c"))
    assert graph == renamed
    assert hash(graph) == hash(renamed)


def test_check_names_the_node_whose_shapes_disagree():
    graph = small_graph()
    wrong = ComputationGraph(graph.operations, ((), (0,), (1, 1)), graph.outputs, graph.names)
    wrong.check()  # both inputs have the same shape here
    broken = (*graph.operations[:2], Operation("relu", ((9, 9, 9),), (9, 9, 9)))
    with pytest.raises(GraphError, match=r"node 2 \(join, relu\): expected input shapes \(\(9, 9, 9\),\)"):
        ComputationGraph(broken, ((), (0,), (1,)), (2,), graph.names).check()


def test_check_refuses_backward_edges_missing_outputs_and_repeated_names():
    graph = small_graph()
    with pytest.raises(GraphError, match="expected inputs among nodes"):
        ComputationGraph(graph.operations, ((), (2,), (0, 1)), graph.outputs, graph.names).check()
    with pytest.raises(GraphError, match="expected outputs"):
        ComputationGraph(graph.operations, graph.inputs, (7,), graph.names).check()
    with pytest.raises(GraphError, match="repeated names"):
        ComputationGraph(graph.operations, graph.inputs, graph.outputs, ("a", "a", "b")).check()


def test_lengths_must_agree():
    with pytest.raises(GraphError, match="one inputs entry and one name for each of 3 operations"):
        ComputationGraph(small_graph().operations, ((),), (0,), ("a",))
