"""Costs against hand counts and torch's own counter."""

import random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nasengine.graph import GraphBuilder, cost
from nasengine.network import GraphNetwork
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201


def test_hand_counted_network():
    builder = GraphBuilder()
    image = builder.input((3, 8, 8))
    conv = builder.add("conv", image, name="conv", channels=4, kernel=3, padding=1, bias=True)
    norm = builder.add("batch_norm", conv, name="norm")
    pooled = builder.add("mean", norm, name="pool", axes=(1, 2))
    graph = builder.build(builder.add("linear", pooled, name="classifier", features=10, bias=True))
    found = cost(graph)
    assert found.macs == 3 * 9 * 4 * 64 + 40
    assert found.num_parameters == (108 + 4) + 8 + (40 + 10)
    assert found.peak_activation_bytes == 4 * (4 * 64 + 4 * 64)  # conv and norm are alive together


def test_depthwise_convolutions_count_their_groups():
    builder = GraphBuilder()
    image = builder.input((6, 8, 8))
    graph = builder.build(builder.add("conv", image, name="conv", channels=6, kernel=3, padding=1, groups=6))
    assert cost(graph).macs == 9 * 6 * 64
    assert cost(graph).num_parameters == 54


def test_peak_depends_on_the_last_use():
    builder = GraphBuilder()
    image = builder.input((1, 10, 10))
    first = builder.add("relu", image, name="a")
    second = builder.add("relu", first, name="b")
    alone = builder.build(second)
    joined = builder.build(builder.add("add", image, second, name="sum"))
    assert cost(alone).peak_activation_bytes == 4 * 200
    assert cost(joined).peak_activation_bytes == 4 * 300


@pytest.mark.parametrize("space", [DARTS, NASBENCH201], ids=lambda space: space.name)
def test_macs_are_half_of_torchs_flops(space):
    """torch counts two operations a multiply-accumulate, on convolutions and matrix products only."""
    graph = space.to_graph(space.sample(random.Random(1)), space.defaults)
    network = GraphNetwork(graph).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    assert counter.get_total_flops() == 2 * cost(graph).macs
