"""Networks from none of our spaces, traced from the module and from files that plain torch code exported."""

import math
import warnings
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nasengine.graph import ComputationGraph, cost
from nasengine.network import GraphNetwork
from nasengine.tracing import graph_from_module, graph_from_onnx, unknown_operators
from tests.tracing.foreign_networks import AttentionBlock, foreign_networks

NETWORKS = foreign_networks()
EXPORTS = {
    "fixed": {"dynamo": True},
    "free": {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim("batch")},)},
    "script_fixed": {"dynamo": False},
    "script_free": {"dynamo": False, "input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}},
}
FIXED = ("resnet", "vit_attention")  # the newer exporter takes seconds, so each network passes it once
CASES = [(name, "fixed" if name in FIXED else "free") for name in NETWORKS]
CASES += [(name, way) for name in NETWORKS for way in ("script_fixed", "script_free")]


@pytest.fixture
def export(tmp_path):
    """Writes a network into a file, with a fixed or free batch, by torch's exporter or by its older one."""

    def write(network: nn.Module, batch: int, way: str) -> Path:
        path = tmp_path / f"{batch}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own, about itself
            images = torch.zeros(batch, 3, 32, 32)
            torch.onnx.export(network, (images,), path, verbose=False, **EXPORTS[way])
        return path

    return write


def layers(network: nn.Module) -> tuple[Counter, int]:
    """Shapes that convolutions and linear layers give, and all multiply-accumulates, counted while the network runs."""
    shapes: Counter = Counter()
    macs = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.MultiheadAttention):
            tokens, width = inputs[0].shape[1:]
            shapes.update([(tokens, 3 * width), (tokens, width)])
            macs.append(4 * tokens * width**2 + 2 * tokens**2 * width)
        elif isinstance(module, AttentionBlock):
            macs.append(2 * inputs[0].shape[1] ** 2 * inputs[0].shape[2])
        else:
            shapes[tuple(output.shape[1:])] += 1
            macs.append(math.prod(module.weight.shape[1:]) * math.prod(output.shape[1:]))

    kinds = (nn.Conv2d, nn.Linear, nn.MultiheadAttention, AttentionBlock)
    found = [module.register_forward_hook(count) for module in network.modules() if isinstance(module, kinds)]
    network(torch.zeros(1, 3, 32, 32))
    for hook in found:
        hook.remove()
    return shapes, sum(macs)


def check(graph: ComputationGraph, network: nn.Module, num_parameters: int) -> None:
    shapes, macs = layers(network)
    nodes = zip(graph.operations, graph.names, strict=True)
    found = Counter(node.output_shape for node, _ in nodes if node.kind in ("conv", "linear"))
    assert found == shapes
    assert cost(graph).macs == macs
    assert cost(graph).num_parameters == num_parameters
    assert unknown_operators(graph) == {}
    assert graph.operations[graph.outputs[0]].output_shape == (10,)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_from_the_module(name, batch):
    network = NETWORKS[name]
    graph = graph_from_module(network, torch.zeros(batch, 3, 32, 32))
    check(graph, network, sum(weight.numel() for weight in network.parameters()))


@pytest.mark.parametrize(("name", "way"), CASES)
def test_from_a_file(name, way, export):
    """The exporter merges each batch norm into the convolution before it: two values a channel become one bias."""
    network = NETWORKS[name]
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    left = sum(weight.numel() for weight in network.parameters()) - sum(norm.num_features for norm in norms)
    check(graph_from_onnx(export(network, 1 if name == "resnet" else 3, way)), network, left)


@pytest.mark.parametrize("name", NETWORKS)
def test_graphs_compute_what_the_networks_do(name):
    network = NETWORKS[name]
    built = GraphNetwork(graph_from_module(network, torch.zeros(2, 3, 32, 32))).eval()
    renamed = {"token": "cat/token.value", "position": "add.value"}  # parameters that belong to no layer
    state = {}
    for name, value in network.state_dict().items():
        path, _, leaf = renamed.get(name, name).replace("in_proj_", "").rpartition(".")
        state[f"nodes.{path.replace('.', '/')}.{leaf}"] = value
    assert set(built.state_dict()) == set(state)
    built.load_state_dict({key: value.reshape(built.state_dict()[key].shape) for key, value in state.items()})
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(built(images), network(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 3])
def test_attention_that_returns_its_weights(batch):
    """It folds its heads into the batch, which for a batch of one leaves no dimension for the batch."""

    class Weights(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(2).transpose(1, 2)
            return self.attention(x, x, x)[0].mean(1)

    graph = graph_from_module(Weights(), torch.zeros(batch, 8, 4, 4))
    assert unknown_operators(graph) == {}
    assert cost(graph).macs == 4 * 16 * 8**2 + 2 * 16**2 * 8
