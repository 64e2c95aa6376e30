"""Graphs of ONNX files, and files that are refused."""

from pathlib import Path

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nasengine.errors import TracingError
from nasengine.graph import cost
from nasengine.tracing import graph_from_onnx


def save(path: Path, nodes: list, weights: dict[str, numpy.ndarray], shape: tuple = ("batch", 3, 8, 8)) -> Path:
    """A file with input ``x`` and output ``y``."""
    graph = helper.make_graph(
        nodes, "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph), path)
    return path


def floats(*shape: int) -> numpy.ndarray:
    return numpy.ones(shape, dtype=numpy.float32)


def test_a_small_network(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Clip", ["c", "low", "high"], ["r"]),
        helper.make_node("AveragePool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p", "d"], ["q"], group=4, auto_pad="SAME_UPPER"),
        helper.make_node("Mul", ["q", "half"], ["m"]),
        helper.make_node("Add", ["m", "p"], ["a"]),
        helper.make_node("Concat", ["a", "p"], ["k"], axis=1),
        helper.make_node("GlobalAveragePool", ["k"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "l", "e"], ["y"], transB=1),
    ]
    weights = {
        "w": floats(4, 3, 3, 3), "b": floats(4), "d": floats(4, 1, 3, 3), "l": floats(5, 8), "e": floats(5),
        "low": numpy.float32(0).reshape(()), "high": numpy.float32(6).reshape(()), "half": floats(1) / 2,
    }  # fmt: skip
    graph = graph_from_onnx(save(tmp_path / "net.onnx", nodes, weights))
    kinds = [operation.kind for operation in graph.operations]
    assert kinds == [
        "input",
        "conv",
        "relu6",
        "avg_pool",
        "conv",
        "scale",
        "add",
        "concat",
        "mean",
        "flatten",
        "linear",
    ]
    assert cost(graph).macs == 27 * 4 * 16 + 9 * 4 * 4 + 40
    assert cost(graph).num_parameters == 108 + 4 + 36 + 45


def test_shape_operations(tmp_path):
    def ints(*values: int) -> numpy.ndarray:
        return numpy.array(values, dtype=numpy.int64)

    nodes = [
        helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["s"]),
        helper.make_node("Pad", ["s", "pads"], ["p"]),
        helper.make_node("Reshape", ["p", "shape"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
        helper.make_node("LayerNormalization", ["t", "scale"], ["n"]),
        helper.make_node("MatMul", ["n", "weight"], ["m"]),
        helper.make_node("Softmax", ["m"], ["o"]),
        helper.make_node("ReduceMean", ["o", "axis"], ["y"], keepdims=0),
    ]
    weights = {
        "starts": ints(1, 1), "ends": ints(99, 99), "axes": ints(2, 3), "pads": ints(0, 0, 0, 0, 0, 0, 1, 1),
        "shape": ints(0, 3, -1), "scale": floats(3), "weight": floats(3, 6), "axis": ints(1),
    }  # fmt: skip
    graph = graph_from_onnx(save(tmp_path / "net.onnx", nodes, weights))
    shapes = [operation.output_shape for operation in graph.operations]
    assert shapes == [(3, 8, 8), (3, 7, 7), (3, 8, 8), (3, 64), (64, 3), (64, 3), (64, 6), (64, 6), (6,)]


def test_files_that_are_none(tmp_path):
    with pytest.raises(TracingError, match="could not be read"):
        graph_from_onnx(tmp_path / "missing.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"\x00\x01 not a model")
    with pytest.raises(TracingError, match="expected an ONNX model|expected outputs"):
        graph_from_onnx(tmp_path / "bad.onnx")


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd"])
def test_external_data_must_stay_in_the_folder(tmp_path, location):
    folder = tmp_path / "inside"
    folder.mkdir()
    path = save(folder / "net.onnx", [helper.make_node("Mul", ["x", "w"], ["y"])], {"w": floats(3, 1, 1)})
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(TracingError, match="weight w: expected external data inside its folder"):
        graph_from_onnx(path)


def test_dynamic_image_sizes_are_refused(tmp_path):
    path = save(tmp_path / "net.onnx", [helper.make_node("Relu", ["x"], ["y"])], {}, ("batch", 3, "h", "w"))
    with pytest.raises(TracingError, match="input x: expected fixed sizes"):
        graph_from_onnx(path)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            helper.make_node("Conv", ["x", "w"], ["y"], strides=[0, 0]),
            "expected kernel, stride, dilation and groups of at",
        ),
        (
            helper.make_node("Conv", ["x", "w"], ["y"], group=0),
            "expected kernel, stride, dilation and groups of at least 1",
        ),
        (helper.make_node("Conv", ["x", "w"], []), "expected an output, got none"),
        (helper.make_node("Concat", ["x", "x"], ["y"], axis=7), "expected an axis between -4 and 3, got 7"),
        (helper.make_node("Conv", ["x", "v"], ["y"]), "a weight for all channels, got 1 groups"),
        (helper.make_node("Gemm", ["x", "w"], ["x"]), "expected every value to be computed once, got 'x' again"),
        (helper.make_node("Reshape", ["x", "zero"], ["y"]), "expected sizes, at most one of them left open"),
        (helper.make_node("MaxPool", ["x"], ["y"]), "kernel_shape"),
    ],
)
def test_hostile_settings_are_refused(tmp_path, node, message):
    weights = {"w": floats(4, 3, 3, 3), "v": floats(4, 2, 3, 3), "zero": numpy.array([-1, -1, 5])}
    with pytest.raises(TracingError, match=message):
        graph_from_onnx(save(tmp_path / "net.onnx", [node], weights))


def test_uneven_padding_is_a_node_of_its_own(tmp_path):
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[0, 0, 1, 1], strides=[2, 2])]
    graph = graph_from_onnx(save(tmp_path / "net.onnx", nodes, {"w": floats(4, 3, 3, 3)}))
    assert [operation.kind for operation in graph.operations] == ["input", "pad", "conv"]
    assert [operation.output_shape for operation in graph.operations] == [(3, 8, 8), (3, 9, 9), (4, 4, 4)]
