"""Small networks and images for tests of adapters."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from nasengine.graph import GraphBuilder
from nasengine.initialization.adapters import Adaptation, AdapterConfig, attach_adapters
from nasengine.network import GraphNetwork
from nasengine.testing import small_config
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201

KINDS = ("random", "pissa", "eva")
DARTS_TEXT = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('dil_conv_5x5', 1), ('skip_connect', 0), ('dil_conv_3x3', 1), "
    "('max_pool_3x3', 0), ('sep_conv_5x5', 2), ('skip_connect', 1), ('dil_conv_3x3', 3)], normal_concat=range(2, 6), "
    "reduce=[('sep_conv_3x3', 0), ('dil_conv_5x5', 1), ('skip_connect', 0), ('dil_conv_3x3', 1), "
    "('avg_pool_3x3', 0), ('sep_conv_5x5', 2), ('skip_connect', 1), ('dil_conv_3x3', 3)], reduce_concat=range(2, 6))"
)
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


def random_images(count: int, shape: tuple[int, ...] = (3, 16, 16), seed: int = 0) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def labelled(*images: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(part, torch.arange(len(part)) % 3) for part in images]


def with_statistics(network: GraphNetwork, shape: tuple[int, ...]) -> GraphNetwork:
    """The network after a few batches in train mode: its norms' running statistics are no longer 0 and 1."""
    for seed in range(3):
        network(2 * random_images(16, shape, seed) + 1)
    return network


def darts_network() -> GraphNetwork:
    graph = DARTS.to_graph(DARTS.parse(DARTS_TEXT), small_config(DARTS))
    return with_statistics(GraphNetwork(graph, 1), (3, 16, 16))


def nasbench201_network() -> GraphNetwork:
    graph = NASBENCH201.to_graph(NASBENCH201.parse(CELL), replace(small_config(NASBENCH201), cells=1))
    return with_statistics(GraphNetwork(graph, 1), (3, 16, 16))


def linear_network() -> GraphNetwork:
    builder = GraphBuilder()
    flat = builder.add("flatten", builder.input((3, 16, 16)), name="flat")
    hidden = builder.add("relu", builder.add("linear", flat, name="hidden", features=20, bias=True), name="relu")
    return GraphNetwork(builder.build(builder.add("linear", hidden, name="head", features=5, bias=True)), 0)


def conv_network(groups: int = 2, **options) -> GraphNetwork:
    """One convolution with padding, stride and groups, and a classifier."""
    builder = GraphBuilder()
    settings = {"channels": 8, "kernel": 3, "padding": 1, "stride": 2, "bias": True} | options
    conv = builder.add("conv", builder.input((4, 8, 8)), name="conv", groups=groups, **settings)
    pooled = builder.add("mean", builder.add("relu", conv, name="relu"), name="pool", axes=(1, 2))
    return GraphNetwork(builder.build(builder.add("linear", pooled, name="head", features=3, bias=True)), 0)


NETWORKS = {"darts": darts_network, "nasbench201": nasbench201_network, "linear": linear_network}


def adapt(network: GraphNetwork, kind: str, **options) -> Adaptation:
    config = AdapterConfig(initialization=kind, **({"rank": 2} | options))
    return attach_adapters(network, config, labelled(random_images(8), random_images(8, seed=1)), seed=3)


def train(network: GraphNetwork, images: Tensor, steps: int = 4) -> None:
    """Some steps of Adam in train mode: it moves all that has a gradient, however small."""
    optimizer = torch.optim.Adam([weight for weight in network.parameters() if weight.requires_grad], lr=0.02)
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(network(images), torch.arange(len(images)) % 3).backward()
        optimizer.step()
