"""Costs before export: files of networks never turn out larger than what was said, and not much smaller."""

import random

import pytest
import torch

from export.calibration import LabelledImages
from export.onnx import export_onnx
from export.quantization import quantize_int8
from nasengine.errors import ConfigError
from nasengine.graph import cost, prune
from nasengine.network import GraphNetwork
from nasengine.protocols import NetworkConfig
from nasengine.targets import Constraint, Constraints, Device, limits_of, load_target
from nasengine.targets.device_costs import file_bytes
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201

IMAGES = torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))
METADATA = {"genotype": "g" * 300, "classes": "c" * 200, "preprocessing": "p" * 300}


@pytest.mark.parametrize(
    ("space", "size"),
    [
        pytest.param(DARTS, (12, 4), id="darts", marks=pytest.mark.slow),
        pytest.param(NASBENCH201, (16, 2), id="nasbench201"),
    ],
)
def test_sizes_of_files_are_bounded(space, size, tmp_path):
    config = NetworkConfig(10, (1, 8, 8), *size)
    graph = prune(space.to_graph(space.sample(random.Random(3)), config))
    network = GraphNetwork(graph, seed=0).eval()
    full, small = tmp_path / "full.onnx", tmp_path / "small.onnx"
    export_onnx(network, IMAGES, full, METADATA)
    validation = LabelledImages(IMAGES, torch.zeros(len(IMAGES), dtype=torch.int64))
    quantize_int8(full, small, calibration=IMAGES, validation=validation)
    for path, data_type in ((full, "float32"), (small, "int8")):
        assert path.stat().st_size <= file_bytes(graph, data_type) <= 1.3 * path.stat().st_size


def test_costs_are_those_of_the_network_that_is_deployed():
    space = DARTS
    config = NetworkConfig(10, (3, 32, 32), 8, 6, auxiliary_head=True)
    graph = space.to_graph(space.sample(random.Random(0)), config)
    (found,) = Device(load_target("mcu-256k"), Constraints()).costs([graph])
    deployed = cost(prune(graph, graph.outputs[:1]))
    assert len(graph.outputs) == 2
    assert found.metrics["num_parameters"] == deployed.num_parameters < cost(graph).num_parameters
    assert found.metrics["peak_bytes"] <= 1.15 * deployed.peak_activation_bytes / 4  # int8


def test_the_smaller_limit_counts():
    target = load_target("mcu-64k")
    limits = limits_of(target, {"model_bytes": 1000, "peak_bytes": 10**9, "macs": 5, "latency_ms": None})
    found = {entry.metric: entry.limit for entry in limits.limits}
    assert found == {"macs": 5, "model_bytes": 1000, "peak_bytes": target.limits.peak_bytes}


@pytest.mark.parametrize(("metric", "limit"), [("speed", 1.0), ("macs", 0.0), ("macs", float("inf")), ("macs", -1.0)])
def test_limits_that_mean_nothing(metric, limit):
    with pytest.raises(ConfigError, match="expected a limit above 0"):
        Constraint(metric, limit)
