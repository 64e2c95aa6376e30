"""Files that are damaged, or made to do harm: one clear sentence each."""

import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from nasengine.errors import TracingError
from nasengine.tracing import graph_from_onnx

Inputs = dict[str, tuple]


def model(*nodes: onnx.NodeProto, inputs: Inputs | None = None, opset: int = 20) -> onnx.ModelProto:
    """A model whose weights ``w`` are a convolution's; its output is ``y``."""
    shapes = {"x": ("batch", 3, 8, 8)} if inputs is None else inputs
    graph = helper.make_graph(
        list(nodes), "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(numpy.ones((4, 3, 3, 3), dtype=numpy.float32), "w")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


CONV, RELU = helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])


def check_refused(path: Path, content: bytes | onnx.ModelProto, message: str) -> None:
    path = path / "net.onnx"
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    with pytest.raises(TracingError, match=message) as caught:
        graph_from_onnx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_files(tmp_path):
    whole = model(CONV, RELU).SerializeToString()
    check_refused(tmp_path, b"", "expected an ONNX model, got an empty file; export it again")
    check_refused(
        tmp_path, whole[: len(whole) // 2], "expected an ONNX model, got a file that is none or that is cut short"
    )
    check_refused(tmp_path, b"PK\x03\x04 a zip", "expected an ONNX model")
    check_refused(tmp_path, onnx.ModelProto(), "expected an ONNX model, got an empty file")
    check_refused(tmp_path, onnx.ModelProto(producer_name="me"), "expected an ONNX model with nodes, got none")


def test_names_do_not_reach_the_terminal_as_they_are(tmp_path):
    relu = helper.make_node("Relu", ["nowhere"], ["y"], name="a\n\x1b[31m" + 5000 * "b")
    check_refused(tmp_path, model(relu), r"node a\?\?\[31mb+\.\.\.$")


def test_folders_and_devices_are_no_files(tmp_path):
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(TracingError, match="expected a file, got a folder or a device"):
            graph_from_onnx(path)


def test_files_of_two_gibibytes_are_not_read(tmp_path):
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)  # takes no room on the disk
    with pytest.raises(TracingError, match="expected at most 2147483647 bytes, got 2147483648; export the weights"):
        graph_from_onnx(path)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]), CONV, RELU],
         "got 'b', which a later node computes; the graph has a cycle or is not sorted"),
        ([helper.make_node("Relu", ["y"], ["y"])], "got 'y', which a later node computes; the graph has a cycle"),
        ([helper.make_node("Relu", ["nowhere"], ["y"])], "got 'nowhere', which no node computes"),
        ([CONV], "expected 1 to 1000 outputs that nodes compute from the images, got 1: .*'y'"),
        ([helper.make_node("Relu", ["w"], ["y"])], "expected 1 to 1000 outputs that nodes compute from the images"),
        ([CONV, helper.make_node("Relu", ["c"], ["c"])], "expected every value to be computed once, got 'c' again"),
    ],
)  # fmt: skip
def test_graphs_that_are_none(tmp_path, nodes, message):
    check_refused(tmp_path, model(*nodes), message)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": (1, 3, 8, 8), "mask": (1, 8)}, r"expected one input, of images, got 2 \(x, mask\); export a network"),
        ({}, r"expected one input, of images, got 0 \(none\)"),
        ({"x": ("batch", 3, "height", "width")}, r"got \['batch', 3, 'height', 'width'\]; export with a fixed image"),
        ({"x": (1, 3, 0, 8)}, "expected fixed sizes after the batch dimension, got"),
        ({"x": (1, 3, -8, 8)}, "expected fixed sizes after the batch dimension, got"),
        ({"x": (1, 3, None, 8)}, "expected fixed sizes after the batch dimension, got"),
        ({"x": (5,)}, "expected fixed sizes after the batch dimension, got"),
        ({"x": (1, 3, 2**40, 2**40)}, "expected tensors of at most 1099511627776 values, got shape"),
        ({"x": (1, *(2**62,) * 5)}, "expected fixed sizes after the batch dimension, got"),
    ],
)
def test_inputs_that_are_no_images(tmp_path, inputs, message):
    check_refused(tmp_path, model(CONV, RELU, inputs=inputs), message)


def test_token_ids_are_no_images(tmp_path):
    found = model(CONV, RELU)
    found.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    check_refused(tmp_path, found, "input x: expected images of floating-point numbers or bytes, got type 7")


def test_old_opsets(tmp_path):
    check_refused(tmp_path, model(CONV, RELU, opset=6), "expected opset 7 or later, got 6; convert it")


def test_too_many_nodes(tmp_path):
    found = model(CONV)
    found.graph.node.extend([RELU] * 100_000)
    check_refused(tmp_path, found, "expected at most 100000 nodes, got 100001")


def test_too_many_slots_and_operations(tmp_path, monkeypatch):
    split = helper.make_node("Split", ["x"], [f"p{index}" for index in range(10_001)], axis=3)
    check_refused(tmp_path, model(split), "expected at most 10000 inputs and outputs, got 10002")
    monkeypatch.setattr("nasengine.tracing.graph_writer.MAX_OPERATIONS", 2_000)
    found = model(*(helper.make_node("Split", ["x"], [""] * 999 + [f"p{turn}"], axis=1) for turn in range(3)))
    found.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1_000
    check_refused(tmp_path, found, "expected at most 2000 operations")


def test_long_chains_of_sums_take_no_room(tmp_path):
    """Each sum is flattened into the next one; keeping all the flat ones would be quadratic."""
    names = ["x", *(f"s{index}" for index in range(10_000)), "y"]
    nodes = [helper.make_node("Add", [before, "x"], [after]) for before, after in pairwise(names)]
    path = tmp_path / "net.onnx"
    path.write_bytes(model(*nodes).SerializeToString())
    graph = graph_from_onnx(path)
    assert [len(sources) for sources in graph.inputs] == [0, 10_002]


@pytest.mark.parametrize("dims", [(-1, 3), (2**62, 2**62), (1,) * 65])
def test_weights_of_impossible_sizes(tmp_path, dims):
    found = model(CONV, RELU)
    found.graph.initializer[0].dims[:] = dims
    check_refused(tmp_path, found, "stored weights: expected sizes of at most 1099511627776 values")


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("ConstantOfShape", ["many"], ["m"])],
        [helper.make_node("Range", ["none", "most", "one"], ["m"])],
        [helper.make_node("Expand", ["one", "many"], ["m"])],
    ],
    ids=lambda nodes: nodes[0].op_type,
)
def test_constants_do_not_grow(tmp_path, nodes):
    found = model(*nodes, helper.make_node("Add", ["x", "m"], ["y"]))
    for name, value in {"many": [2**30, 2**30], "none": 0, "most": 2**40, "one": 1}.items():
        found.graph.initializer.append(numpy_helper.from_array(numpy.array(value), name))
    check_refused(tmp_path, found, "expected a small constant, got shape")


def outside(found: onnx.ModelProto, location: str) -> onnx.ModelProto:
    """The model with its weights in another file."""
    tensor = found.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return found


def test_weights_outside_need_not_be_there(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(outside(model(CONV, RELU), "missing.data").SerializeToString())
    assert graph_from_onnx(path).operations[1].output_shape == (4, 6, 6)


@pytest.mark.parametrize("location", ["../up.data", "/etc/hosts", "link.data", "round.data", "a\0b", "sub/../../up"])
def test_weights_outside_the_folder(tmp_path, location):
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "up.data").write_bytes(b"")
    (folder / "link.data").symlink_to(tmp_path / "up.data")
    (folder / "round.data").symlink_to(folder / "round.data")
    check_refused(
        folder, outside(model(CONV, RELU), location), "weight w: expected external data inside its folder, got"
    )


def test_weights_of_attributes_outside_the_folder(tmp_path):
    stored = outside(model(CONV), "../up.data").graph.initializer[0]
    found = model(helper.make_node("Constant", [], ["v"], value=stored), CONV, RELU)
    check_refused(tmp_path, found, "expected external data inside its folder")


WHOLE = model(CONV, RELU, helper.make_node("Concat", ["c", "y"], ["z"], axis=1)).SerializeToString()


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4), st.integers(0, 50))
def test_changed_bytes_give_a_graph_or_one_sentence(tmp_path, changes, missing):
    content = bytearray(WHOLE)
    for place, byte in changes:
        content[place] = byte
    path = tmp_path / "net.onnx"
    path.write_bytes(content[: len(content) - (missing if missing < 10 else 0)])
    with suppress(TracingError):
        graph_from_onnx(path).check()
