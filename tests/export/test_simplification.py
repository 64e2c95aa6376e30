"""Batch norms move into the convolutions before them, and only where nothing else reads these."""

import numpy
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.simplification import simplified

RNG = numpy.random.default_rng(0)


def weight(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(RNG.uniform(0.5, 2, shape).astype("float32"), name)


def model(nodes: list[onnx.NodeProto], stored: list[onnx.TensorProto]) -> onnx.ModelProto:
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", [images], [logits], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def reduction(read_twice: bool = False) -> onnx.ModelProto:
    """Two convolutions side by side, the first with a bias, and a batch norm over both, as DARTS reduces."""
    nodes = [
        helper.make_node("Relu", ["images"], ["relu"]),
        helper.make_node("Conv", ["relu", "a", "bias"], ["left"]),
        helper.make_node("Conv", ["relu", "b"], ["right"]),
        helper.make_node("Concat", ["left", "right"], ["both"], axis=1),
        helper.make_node("BatchNormalization", ["both", "scale", "shift", "mean", "variance"], ["norm"], epsilon=1e-3),
        helper.make_node("Add", ["norm", "both"], ["logits"])
        if read_twice
        else helper.make_node("Relu", ["norm"], ["logits"]),
    ]
    stored = [weight("a", 4, 3, 1, 1), weight("bias", 4), weight("b", 2, 3, 1, 1)]
    return model(nodes, stored + [weight(name, 6) for name in ("scale", "shift", "mean", "variance")])


def run(net: onnx.ModelProto) -> numpy.ndarray:
    images = numpy.random.default_rng(1).standard_normal((5, 3, 8, 8), dtype="float32")
    session = onnxruntime.InferenceSession(net.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


def test_a_norm_over_concatenated_convolutions_moves_into_both():
    net = reduction()
    before = run(net)
    smaller = simplified(net)
    assert [node.op_type for node in smaller.graph.node] == ["Relu", "Conv", "Conv", "Concat", "Relu"]
    assert {tensor.name for tensor in smaller.graph.initializer} == {"a", "bias", "b", "b.bias"}
    onnx.checker.check_model(smaller, full_check=True)
    numpy.testing.assert_allclose(run(smaller), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reason", ["read twice", "shared weight", "no convolution"])
def test_norms_that_cannot_move_stay(reason):
    net = reduction(read_twice=reason == "read twice")
    if reason == "shared weight":
        net.graph.node[2].input[1] = "a"
        net.graph.initializer[2].CopyFrom(weight("b", 8, 3, 1, 1))
        for index, name in enumerate(("scale", "shift", "mean", "variance")):
            net.graph.initializer[3 + index].CopyFrom(weight(name, 8))
    if reason == "no convolution":
        net.graph.node[1].CopyFrom(helper.make_node("Relu", ["relu"], ["left"]))
        for index, name in enumerate(("scale", "shift", "mean", "variance")):
            net.graph.initializer[3 + index].CopyFrom(weight(name, 5))
    before = run(net)
    smaller = simplified(net)
    assert "BatchNormalization" in [node.op_type for node in smaller.graph.node]
    numpy.testing.assert_array_equal(run(smaller), before)


def test_shapes_that_contradict_are_an_error():
    net = model([helper.make_node("Add", ["images", "a"], ["logits"])], [weight("a", 3, 8, 7)])
    with pytest.raises(onnx.shape_inference.InferenceError):
        simplified(net)
