"""Operators of ONNX files that are not known, or that are used in a way that the primitives cannot express."""

from pathlib import Path

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nasengine.errors import GraphError
from nasengine.graph import ComputationGraph, cost, from_json, to_json
from nasengine.network import GraphNetwork
from nasengine.tracing import graph_from_onnx, unknown_operators


def trace(path: Path, *nodes: onnx.NodeProto, opset: int = 20, **weights: numpy.ndarray) -> ComputationGraph:
    """Graph of a file with input ``x`` (batch, 3, 8, 8), these nodes, and output ``y``."""
    stored = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    shape = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 3, 8, 8))
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "test", [shape], [result], stored)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=domains), path / "net.onnx")
    return graph_from_onnx(path / "net.onnx")


def ones(*shape: int) -> numpy.ndarray:
    return numpy.ones(shape, dtype=numpy.float32)


CASES = {
    "element-wise": (helper.make_node("Sin", ["x"], ["u"]), "Sin", (3, 8, 8), 0),
    "learned": (helper.make_node("PRelu", ["x", "slope"], ["u"]), "PRelu", (3, 8, 8), 3),
    "transposed": (helper.make_node("ConvTranspose", ["x", "w"], ["u"]), "ConvTranspose", (5, 9, 9), 60),
    "resized": (helper.make_node("Resize", ["x", "", "", "sizes"], ["u"]), "Resize", (3, 4, 4), 0),
    "other domain": (helper.make_node("Foo", ["x"], ["u"], domain="com.microsoft"), "com.microsoft.Foo", (3, 8, 8), 0),
    "setting": (helper.make_node("Clip", ["x", "low", "high"], ["u"]), "Clip", (3, 8, 8), 0),
    "into the batch": (helper.make_node("Concat", ["x", "x"], ["u"], axis=0), "Concat", (2, 3, 8, 8), 0),
    "along the batch": (helper.make_node("Softmax", ["x"], ["u"], axis=0), "Softmax", (3, 8, 8), 0),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_unknown_operators_keep_shape_and_parameters(tmp_path, case):
    node, operator, shape, num_parameters = CASES[case]
    weights = {"slope": ones(3, 1, 1), "w": ones(3, 5, 2, 2), "low": ones(1), "high": 5 * ones(1)}
    weights["sizes"] = numpy.array([1, 3, 4, 4])
    graph = trace(tmp_path, node, helper.make_node("Relu", ["u"], ["y"]), **weights)
    assert unknown_operators(graph) == {operator: 1}
    assert [operation.output_shape for operation in graph.operations] == [(3, 8, 8), shape, shape]
    assert (cost(graph).macs, cost(graph).num_parameters) == (0, num_parameters)
    assert from_json(to_json(graph)) == graph
    with pytest.raises(GraphError, match=f"operation {operator}: expected one that a network can compute, got one"):
        GraphNetwork(graph)


def test_unknown_operators_are_counted(tmp_path):
    nodes = [helper.make_node("Sin", ["x"], ["a"]), helper.make_node("Cos", ["a"], ["b"])]
    nodes += [helper.make_node("Sin", ["b"], ["c"]), helper.make_node("Sin", ["b"], ["unused"])]
    graph = trace(tmp_path, *nodes, helper.make_node("Relu", ["c"], ["y"]))
    assert list(unknown_operators(graph).items()) == [("Sin", 2), ("Cos", 1)]


def test_nested_graphs_are_one_unknown_node(tmp_path):
    """The branches of an If take their input from around them."""
    value = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "branch", [], [value])
    choose = helper.make_node("If", ["yes"], ["u"], then_branch=branch, else_branch=branch)
    graph = trace(tmp_path, choose, helper.make_node("Relu", ["u"], ["y"]), yes=numpy.array(True))
    assert unknown_operators(graph) == {"If": 1}
    assert graph.operations[graph.outputs[0]].output_shape == (3, 8, 8)


def test_several_outputs_count_their_parameters_once(tmp_path):
    split = helper.make_node("GRU", ["t", "w", "r"], ["all", "last"], hidden_size=4)
    nodes = [helper.make_node("Squeeze", ["m", "axis"], ["t"]), split, helper.make_node("Add", ["flat", "last"], ["y"])]
    before = helper.make_node("ReduceMean", ["x", "axis"], ["m"])
    after = helper.make_node("ReduceMean", ["all", "zero"], ["flat"], keepdims=0)
    weights = {"w": ones(1, 12, 8), "r": ones(1, 12, 4), "axis": numpy.array([2]), "zero": numpy.array([0])}
    graph = trace(tmp_path, before, *nodes[:2], after, nodes[2], **weights)
    assert cost(graph).num_parameters == 12 * 8 + 12 * 4
    assert unknown_operators(graph)["GRU"] == 2


def test_arithmetic_on_shapes_is_worked_out(tmp_path):
    """What exporters write for ``x.view(x.shape[0], -1, x.shape[2] // 2)`` and for a mask made on the spot."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Gather", ["s", "two"], ["h"]), helper.make_node("Div", ["h", "two"], ["half"]),
        helper.make_node("Unsqueeze", ["n", "axis"], ["n1"]), helper.make_node("Unsqueeze", ["half", "axis"], ["h1"]),
        helper.make_node("Concat", ["n1", "open", "h1"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["r"]), helper.make_node("ConstantOfShape", ["h1"], ["mask"]),
        helper.make_node("Add", ["r", "mask"], ["y"]),
    ]  # fmt: skip
    weights = {"zero": numpy.array(0), "two": numpy.array(2), "axis": numpy.array([0]), "open": numpy.array([-1])}
    graph = trace(tmp_path, *nodes, **weights)
    assert [operation.kind for operation in graph.operations] == ["input", "reshape", "offset"]
    assert graph.operations[-1].output_shape == (48, 4)
    assert cost(graph).num_parameters == 0


@pytest.mark.parametrize(("settings", "unknown"), [({}, {}), ({"softcap": 30.0}, {"Attention": 1})])
def test_attention_of_newer_opsets(tmp_path, settings, unknown):
    node = helper.make_node("Attention", ["x", "x", "x"], ["y"], **settings)
    graph = trace(tmp_path, node, opset=23)
    assert unknown_operators(graph) == unknown
    assert graph.operations[graph.outputs[0]].output_shape == (3, 8, 8)
    assert cost(graph).macs == (0 if unknown else 2 * 3 * 8 * 8 * 8)
