"""Peak activations: by hand, and as nasengine.graph.cost counts them on the same graph."""

import contextlib
import random
from pathlib import Path

import numpy
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from export.memory import peak_bytes
from nasengine.errors import ExportError
from nasengine.graph import cost
from nasengine.tracing import graph_from_onnx


def write(path: Path, nodes: list[onnx.NodeProto], **changes) -> Path:
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, changes.get("shape", ["batch", 2, 4, 4]))
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in changes.get("outputs", ["out"])]
    weight = numpy_helper.from_array(numpy.ones((6, 2, 1, 1), "float32"), "weight")
    graph = helper.make_graph(nodes, "net", [images], outputs, [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_peak_by_hand(tmp_path):
    nodes = [
        helper.make_node("Conv", ["images", "weight"], ["wide"]),  # alive: images 32, wide 96
        helper.make_node("Relu", ["wide"], ["relu"]),  # images 32, wide 96, relu 96
        helper.make_node("GlobalAveragePool", ["relu"], ["small"]),  # images 32, relu 96, small 6
        helper.make_node("Concat", ["images", "images"], ["out"], axis=1),  # images 32, small 6, out 64
    ]
    path = write(tmp_path / "net.onnx", nodes, outputs=["out", "small"])
    assert peak_bytes(path) == 4 * (32 + 96 + 96)
    assert peak_bytes(path, "float16") == 2 * (32 + 96 + 96)
    assert peak_bytes(path, "int8") == 32 + 96 + 96


@pytest.mark.parametrize("seed", range(20))
def test_peak_is_that_of_the_graph(tmp_path, seed):
    rng = random.Random(seed)
    nodes, channels = [], {"images": 2}
    for index in range(12):
        kind = rng.choice(["Sigmoid", "Concat", "Tanh"])
        sources = [rng.choice(list(channels)) for _ in range(2 if kind == "Concat" else 1)]
        name = f"value{index}"
        nodes.append(helper.make_node(kind, sources, [name], **({"axis": 1} if kind == "Concat" else {})))
        channels[name] = sum(channels[source] for source in sources)
    unread = [name for name in channels if not any(name in node.input for node in nodes)]
    nodes.append(helper.make_node("Concat", unread, ["out"], axis=1))
    path = write(tmp_path / "net.onnx", nodes)
    assert peak_bytes(path) == cost(graph_from_onnx(path)).peak_activation_bytes


def test_sizes_that_are_not_fixed_are_refused(tmp_path):
    path = write(tmp_path / "net.onnx", [helper.make_node("Relu", ["images"], ["out"])], shape=["n", 2, "h", "w"])
    with pytest.raises(ExportError, match="expected a fixed size of every value, got none of 'out'"):
        peak_bytes(path)
    with pytest.raises(ExportError, match="could not be read"):
        peak_bytes(tmp_path / "missing.onnx")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_files_are_one_sentence(tmp_path_factory, data):
    whole = write(tmp_path_factory.mktemp("memory") / "net.onnx", [helper.make_node("Relu", ["images"], ["out"])])
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    whole.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(ExportError):  # any other error fails
        assert peak_bytes(whole) >= 0
