"""Shapes against torch, and messages for operations that cannot be applied."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from nasengine.errors import GraphError
from nasengine.graph import GraphBuilder


def output_shape(kind: str, given_shape: tuple[int, ...], **settings: object) -> tuple[int, ...]:
    builder = GraphBuilder()
    return builder.shape(builder.add(kind, builder.input(given_shape), name="node", **settings))


@given(
    size=st.integers(5, 20), kernel=st.integers(1, 5), stride=st.integers(1, 3), padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
)  # fmt: skip
def test_convolution_shapes_are_torchs(size, kernel, stride, padding, dilation):
    if dilation * (kernel - 1) + 1 > size + 2 * padding:
        return
    settings = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    expected = F.conv2d(
        torch.zeros(1, 2, size, size), torch.zeros(4, 2, kernel, kernel), None, stride, padding, dilation
    ).shape[1:]
    assert output_shape("conv", (2, size, size), channels=4, **settings) == tuple(expected)


@given(
    size=st.integers(4, 20),
    kernel=st.integers(2, 4),
    stride=st.integers(1, 3),
    padded=st.booleans(),
    ceil=st.booleans(),
)
def test_pool_shapes_are_torchs(size, kernel, stride, padded, ceil):
    padding = kernel // 2 if padded else 0
    expected = F.max_pool2d(torch.zeros(1, 2, size, size), kernel, stride, padding, ceil_mode=ceil).shape[1:]
    settings = {"kernel": kernel, "stride": stride, "padding": padding, **({"ceil_mode": True} if ceil else {})}
    assert output_shape("max_pool", (2, size, size), **settings) == tuple(expected)


def test_equal_nodes_share_one_operation():
    builder = GraphBuilder()
    image = builder.input((3, 8, 8))
    graph = builder.build(builder.add("relu", image, name="a"), builder.add("relu", image, name="b"))
    assert graph.operations[1] is graph.operations[2]


@pytest.mark.parametrize(
    ("kind", "shape", "settings", "message"),
    [
        ("blur", (3, 8, 8), {}, "operation kind: expected one of add, avg_pool"),
        ("conv", (3, 2, 2), {"channels": 4, "kernel": 5}, "expected at least 5 pixels along axis 0, got 2"),
        ("conv", (3, 8, 8), {"channels": 4, "groups": 2}, "expected channels divisible by 2 groups, got 3 -> 4"),
        ("conv", (3,), {"channels": 4}, r"expected an input of \(channels, height, width\)"),
        ("reshape", (3, 8, 8), {"shape": (5, 5)}, "expected 192 values"),
        ("crop", (3, 1, 1), {"offset": (1, 1)}, "expected a non-empty output"),
    ],
)
def test_operations_that_cannot_be_applied_are_refused(kind, shape, settings, message):
    with pytest.raises(GraphError, match=message):
        output_shape(kind, shape, **settings)


def test_shapes_of_several_inputs_must_agree():
    builder = GraphBuilder()
    first, second = builder.input((3, 8, 8), "a"), builder.input((3, 4, 4), "b")
    with pytest.raises(GraphError, match="expected shapes that agree"):
        builder.add("add", first, second, name="sum")
    with pytest.raises(GraphError, match="expected shapes equal outside axis 0"):
        builder.add("concat", first, second, name="join", axis=0)
    with pytest.raises(GraphError, match="expected inner sizes that agree"):
        builder.add("matmul", first, second, name="product")
