"""Graphs of torch modules."""

import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasengine.errors import GraphError, TracingError
from nasengine.graph import canonical, cost, fingerprint
from nasengine.network import GraphNetwork
from nasengine.testing import small_config
from nasengine.tracing import graph_from_module, unknown_operators
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201


@pytest.mark.parametrize("space", [DARTS, NASBENCH201], ids=lambda space: space.name)
def test_our_own_networks_come_back(space):
    graph = space.to_graph(space.sample(random.Random(5)), small_config(space))
    traced = graph_from_module(GraphNetwork(graph), torch.zeros(2, 3, 16, 16))
    assert fingerprint(traced) == fingerprint(canonical(graph))


class SqueezeExcite(nn.Module):
    """A mobile block: depthwise convolution, ReLU6, squeeze and excitation, numbers in arithmetic, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding="same", groups=8, bias=False)
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.excite = nn.Conv2d(8, 8, 1)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.norm(self.stem(x)))
        y = F.hardswish(self.depthwise(F.pad(x, (0, 0, 0, 0))))
        x = x + y * torch.sigmoid(self.excite(self.squeeze(y))) / 2 - 0.5
        return self.classifier(self.dropout(self.squeeze(F.max_pool2d(x, 2)).flatten(1)))


class Attention(nn.Module):
    """Matrix products, softmax, layer norm and transposes."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, stride=4)
        self.norm = nn.LayerNorm(16)
        self.query, self.key, self.value = (nn.Linear(16, 16) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.patch(x).flatten(2).transpose(1, 2))
        scores = self.query(tokens) @ self.key(tokens).transpose(1, 2) * 0.25
        return F.gelu(tokens + scores.softmax(-1) @ self.value(tokens)).mean(1)


@pytest.mark.parametrize("module", [SqueezeExcite(), Attention()], ids=lambda module: type(module).__name__)
def test_traced_graphs_compute_what_the_module_does(module):
    graph = graph_from_module(module, torch.zeros(2, 3, 16, 16))
    network = GraphNetwork(graph).eval()
    state = {f"nodes.{name.rpartition('.')[0]}.{name.rpartition('.')[2]}": v for name, v in module.state_dict().items()}
    network.load_state_dict(state)
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    module.eval()
    torch.testing.assert_close(network(images), module(images), rtol=1e-5, atol=1e-5)
    assert cost(graph).num_parameters == sum(weight.numel() for weight in module.parameters())
    module.train()


class Sorts(nn.Module):
    """An operation that has no primitive."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sort().values


@pytest.mark.parametrize(
    ("module", "operator", "shape", "num_parameters"),
    [
        (Sorts(), "aten::sort", (3, 16, 16), 0),
        (nn.AdaptiveAvgPool2d(3), "aten::adaptive_avg_pool2d", (3, 3, 3), 0),
        (nn.Hardtanh(), "aten::hardtanh", (3, 16, 16), 0),
        (nn.ConvTranspose2d(3, 4, 2, 2), "aten::conv_transpose2d", (4, 32, 32), 3 * 4 * 4 + 4),
        (nn.GroupNorm(3, 3), "aten::group_norm", (3, 16, 16), 6),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_known_becomes_other(module, operator, shape, num_parameters):
    network = nn.Sequential(nn.Conv2d(3, 3, 1), module, nn.ReLU())
    graph = graph_from_module(network, torch.zeros(2, 3, 16, 16))
    assert unknown_operators(graph) == {operator: 1}
    assert graph.operations[graph.outputs[0]].output_shape == shape
    assert cost(graph).num_parameters == 12 + num_parameters
    assert cost(graph).macs == 9 * 256
    with pytest.raises(GraphError, match=f"operation {operator}: expected one that a network can compute"):
        GraphNetwork(graph)


class Branch(nn.Module):
    """Control flow that depends on values."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class MixesBatch(nn.Module):
    """Folds the batch into the channels."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1)


class IgnoresImages(nn.Module):
    """An output that does not depend on the input."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ones(2, 3)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Branch(), "module Branch: expected control flow that does not depend on values"),
        (MixesBatch(), r"module MixesBatch: expected outputs with a batch dimension, got \[\(1536,\)\]"),
        (IgnoresImages(), "module IgnoresImages, node output .*: expected a tensor that depends on the images"),
        (nn.Conv2d(4, 4, 3), "module Conv2d: expected control flow .* got: Given groups=1, weight of size"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_traced_is_named(module, message):
    with pytest.raises(TracingError, match=message):
        graph_from_module(module, torch.zeros(2, 3, 16, 16))
