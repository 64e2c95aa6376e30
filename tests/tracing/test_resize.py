"""Resized images, from torch and from ONNX files as different exporters write them."""

import numpy
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from nasengine.errors import GraphError
from nasengine.graph import GraphBuilder, cost
from nasengine.network import GraphNetwork
from nasengine.tracing import graph_from_module, graph_from_onnx, unknown_operators
from predictors.operation_features import KIND_NAMES, kind_indices


def file_of(path, shape=(2, 3, 8, 6), scales=None, sizes=None, **settings):
    """A Resize node on images ``x``."""
    weights, slots = [], ["x", "", "", ""]
    for slot, name, values, dtype in ((2, "scales", scales, "float32"), (3, "sizes", sizes, "int64")):
        if values is not None:
            weights.append(numpy_helper.from_array(numpy.array(values, dtype=dtype), name))
            slots[slot] = name
    node = helper.make_node("Resize", slots if sizes else slots[:3], ["y"], **{"mode": "linear", **settings})
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(
        [node], "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], weights
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


class Shrinks(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, size=(5, 4), mode="bilinear")


class Aligned(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, size=(5, 4), mode="bilinear", align_corners=True)


def test_resizing_in_torch_comes_back():
    graph = graph_from_module(Shrinks(), torch.zeros(2, 3, 8, 6))
    assert [operation.kind for operation in graph.operations] == ["input", "resize"]
    images = torch.rand(2, 3, 8, 6)
    assert torch.equal(GraphNetwork(graph)(images), Shrinks()(images))
    assert cost(graph).num_parameters == cost(graph).macs == 0
    assert sum(unknown_operators(graph_from_module(Aligned(), images)).values()) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"sizes": [2, 3, 5, 4]},
        {"sizes": [5, 4], "axes": [2, 3]},
        {"sizes": [4, 5], "axes": [-1, 2], "coordinate_transformation_mode": "pytorch_half_pixel"},
    ],
    ids=["sizes", "axes", "turned"],
)
def test_files_are_read_as_onnxruntime_runs_them(settings, tmp_path):
    path = file_of(tmp_path / "net.onnx", **settings)
    graph = graph_from_onnx(path)
    images = torch.rand(2, 3, 8, 6)
    ours = GraphNetwork(graph)(images)
    (theirs,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": images.numpy()})
    assert ours.shape == theirs.shape == (2, 3, 5, 4)
    numpy.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"sizes": [2, 3, 5, 4], "mode": "nearest"},
        {"sizes": [2, 3, 5, 4], "antialias": 1},
        {"sizes": [2, 3, 5, 4], "coordinate_transformation_mode": "align_corners"},
        {"sizes": [2, 2, 8, 6]},
        {"scales": [1, 1, 0.5, 0.5]},
        {"sizes": [5, 4], "axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"},
    ],
    ids=["nearest", "antialias", "corners", "channels", "factors", "ratio"],
)
def test_other_resizing_is_not_known(settings, tmp_path):
    assert unknown_operators(graph_from_onnx(file_of(tmp_path / "net.onnx", **settings))) == {"Resize": 1}


def test_shapes_that_do_not_fit_are_refused():
    builder = GraphBuilder()
    image = builder.input((3, 8, 8))
    with pytest.raises(GraphError, match=r"resize: expected .* two sizes, got \(3, 8, 8\) and \(4, 4, 4\)"):
        builder.add("resize", image, name="a", sizes=(4, 4, 4))
    with pytest.raises(GraphError, match="expected a non-empty output"):
        builder.add("resize", image, name="a", sizes=(0, 4))


def test_shipped_predictors_take_it_for_an_other_operation():
    """A longer vocabulary would not fit their weights."""
    graph = graph_from_module(Shrinks(), torch.zeros(2, 3, 8, 6))
    assert kind_indices(graph.operations).tolist() == [KIND_NAMES.index("input"), KIND_NAMES.index("other")]
