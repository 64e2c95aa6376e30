"""The units of the runtime that are worked out from a graph are those of the graph that onnxruntime writes."""

import collections
import random

import onnx
import onnxruntime
import pytest

from export.operator_files import block_of_runtime, is_writable, write_network, write_unit
from export.runtime_units import runtime_units
from export.sessions import open_session
from nasengine import registry
from nasengine.errors import ExportError
from nasengine.graph import GraphBuilder
from nasengine.testing import small_config

SPACES = [name for name in registry.names("search space") if name != "vision_transformer"]
NAMES = {
    "conv": "Conv", "relu": "Relu", "relu6": "Clip", "add": "Add", "batch_norm": "BatchNormalization", "mul": "Mul",
    "max_pool": "MaxPool", "avg_pool": "AveragePool", "concat": "Concat", "linear": "Gemm", "mean": "ReduceMean",
    "zero": "ConstantOfShape", "reorder_input": "ReorderInput", "reorder_output": "ReorderOutput",
    "truncate": "Slice", "crop": "Slice", "resize": "Resize", "hard_sigmoid": "HardSigmoid",
}  # fmt: skip


def nodes_of_onnxruntime(path):
    """How often each (operator, adds another tensor, has an activation) is in the graph that onnxruntime makes."""
    optimised = path.with_suffix(".optimised.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(optimised)
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    counts = collections.Counter()
    for node in onnx.load(optimised).graph.node:
        kind, has_activation = node.op_type.removeprefix("Fused"), any(a.name == "activation" for a in node.attribute)
        counts[kind, kind == "Conv" and len(node.input) > 3, has_activation] += 1
    # A constant of an open batch: its shape is put together first.
    counts["Concat", False, False] -= counts["ConstantOfShape", False, False]
    del counts["Shape", False, False]
    return +counts


def nodes_of(units):
    counts = collections.Counter()
    for unit in units:
        kind = unit.operation.kind
        counts[NAMES.get(kind, kind), unit.adds_another, bool(unit.activation)] += 2 if kind == "crop" else 1
    return counts


@pytest.mark.parametrize("name", SPACES)
def test_units_are_those_of_onnxruntime(name, tmp_path):
    space, rng, block = registry.load("search space", name), random.Random(5), block_of_runtime()
    if not block:
        pytest.skip("onnxruntime keeps the plain layout on this machine; its fusions of sums there are not modelled")
    for config in (space.defaults, small_config(space), small_config(space)):
        graph = space.to_graph(space.sample(rng), config)
        write_network(graph, tmp_path / "net.onnx")
        assert nodes_of(runtime_units(graph, block)) == nodes_of_onnxruntime(tmp_path / "net.onnx")


@pytest.mark.parametrize("name", [*SPACES, "vision_transformer"])
@pytest.mark.parametrize("block", [0, block_of_runtime()])
def test_every_unit_runs(name, block, tmp_path):
    space = registry.load("search space", name)
    graph = space.to_graph(space.sample(random.Random(1)), small_config(space))
    units = dict.fromkeys(runtime_units(graph, block))
    for unit in units:
        assert is_writable(unit)
        write_unit(unit, tmp_path / "unit.onnx", block)
        open_session(tmp_path / "unit.onnx", threads=1)
    assert not any(unit.is_blocked for unit in units) or block


def chain(*kinds):
    """conv, then these; every value is used once."""
    builder = GraphBuilder()
    last = builder.add("conv", builder.input((16, 8, 8)), name="conv", channels=16)
    for index, kind in enumerate(kinds):
        last = builder.add(kind, last, name=str(index))
    return builder.build(last)


def test_batch_norm_and_relu_cost_nothing_behind_a_convolution():
    units = runtime_units(chain("batch_norm", "relu"), 16)
    expected = [("reorder_input", ""), ("conv", "relu"), ("reorder_output", "")]
    assert [(unit.kind, unit.activation) for unit in units] == expected
    plain = runtime_units(chain("batch_norm", "relu", "relu"), 0)
    assert [(unit.kind, unit.activation) for unit in plain] == [("conv", "relu"), ("relu", "")]


def test_unknown_kinds_cannot_be_written(tmp_path):
    builder = GraphBuilder()
    other = builder.add("other", builder.input((3, 4, 4)), name="x", shape=(3, 4, 4), operator="Magic")
    (unit,) = runtime_units(builder.build(other), 0)
    assert not is_writable(unit)
    with pytest.raises(ExportError, match="operation other: expected one of"):
        write_unit(unit, tmp_path / "unit.onnx", 0)
    with pytest.raises(ExportError, match="could not be written"):
        write_network(chain(), tmp_path / "nowhere" / "net.onnx")
