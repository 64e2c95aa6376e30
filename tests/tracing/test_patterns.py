"""What exporters take apart comes back as one node."""

import math

import pytest

from nasengine.graph import ComputationGraph, GraphBuilder, cost
from nasengine.tracing.patterns import fuse_patterns


def kinds(graph: ComputationGraph) -> list[str]:
    return [operation.kind for operation in graph.operations]


@pytest.mark.parametrize("halved", ["first", "last", "never"])
def test_gelu_by_the_error_function(halved):
    builder = GraphBuilder()
    x = builder.input((4, 8))
    small = builder.add("scale", x, name="small", value=1 / math.sqrt(2))
    erf = builder.add("other", small, name="erf", shape=(4, 8), operator="Erf")
    one = builder.add("offset", erf, name="one", value=1.0)
    half = builder.add("scale", x, name="half", value=0.5) if halved == "first" else x
    result = builder.add("mul", half, one, name="product")
    if halved == "last":
        result = builder.add("scale", result, name="last", value=0.5)
    fused = kinds(fuse_patterns(builder.build(result)))
    assert fused == (["input", "gelu"] if halved != "never" else ["input", "scale", "other", "offset", "mul"])


@pytest.mark.parametrize(("gate", "fused"), [("sigmoid", "silu"), ("hard_sigmoid", "hard_swish")])
def test_gates(gate, fused):
    builder = GraphBuilder()
    x = builder.input((4, 8, 8))
    graph = builder.build(builder.add("mul", builder.add(gate, x, name="gate"), x, name="product"))
    assert kinds(fuse_patterns(graph)) == ["input", fused]


def test_a_gate_with_another_use_stays():
    builder = GraphBuilder()
    x = builder.input((4, 8, 8))
    gate = builder.add("sigmoid", x, name="gate")
    graph = builder.build(builder.add("mul", gate, x, name="product"), gate)
    assert kinds(fuse_patterns(graph)) == ["input", "sigmoid", "mul"]


@pytest.mark.parametrize(("shape", "expected"), [((6,), ["linear"]), ((5, 6), ["linear", "offset"])])
def test_biases(shape, expected):
    builder = GraphBuilder()
    linear = builder.add("linear", builder.input((5, 4)), name="layer", features=6)
    graph = builder.build(builder.add("offset", linear, name="bias", learned=True, parameter_shape=shape))
    fused = fuse_patterns(graph)
    assert kinds(fused)[1:] == expected
    assert fused.names[1] == "layer"
    assert cost(fused) == cost(graph) if len(expected) == 2 else cost(fused).num_parameters == 30
