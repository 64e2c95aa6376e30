"""Widening and deepening keep the function; narrowing keeps whole channels."""

import random
from dataclasses import replace

import pytest
import torch

from nasengine.errors import ConfigError
from nasengine.graph import GraphBuilder
from nasengine.initialization.copying import deepened, leading_units
from nasengine.initialization.width import source_channels, with_width
from nasengine.network import GraphNetwork, module_key
from nasengine.supernet.training import recalibrate
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201
from search_spaces.nasbench_macro import NASBENCH_MACRO
from search_spaces.vision_transformer import VISION_TRANSFORMER

IMAGE = (3, 16, 16)


def graph_of(space, cells, channels, seed=0):
    architecture = space.sample(random.Random(seed))
    return space.to_graph(architecture, replace(space.defaults, cells=cells, channels=channels, image_shape=IMAGE))


def worn(graph, seed=0):
    """A network whose norms have seen something."""
    network = GraphNetwork(graph, seed)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.2, 0.2, generator=generator)
    recalibrate(network, network, [images(seed=5)])
    return network.eval()


def images(seed=1):
    return torch.randn(3, *IMAGE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("space", "cells"), [(DARTS, 4), (NASBENCH201, 1), (NASBENCH_MACRO, 1)])
@pytest.mark.parametrize(("old", "new"), [(4, 8), (4, 6), (8, 20)])
@pytest.mark.parametrize("seed", [0, 1])
@torch.no_grad()
def test_wider_networks_compute_the_same(space, cells, old, new, seed):
    network = worn(graph_of(space, cells, old, seed))
    wider = with_width(network, graph_of(space, cells, new, seed))
    expected = network(images())
    assert wider.graph != network.graph
    torch.testing.assert_close(wider(images()), expected, rtol=1e-4, atol=1e-5)
    assert expected.std(0).max() > 0.01  # not a constant


def test_narrower_networks_have_whole_channels():
    network = worn(graph_of(NASBENCH201, 1, 8, seed=1))
    narrow = with_width(network, graph_of(NASBENCH201, 1, 4, seed=1))
    key = module_key("stages/1/reduction/second/conv")
    kept = source_channels(16, 8)
    torch.testing.assert_close(narrow.nodes[key].weight, network.nodes[key].weight[kept][:, kept])
    norm = module_key("stages/1/reduction/second/norm")
    torch.testing.assert_close(narrow.nodes[norm].running_mean, network.nodes[norm].running_mean[kept])


@torch.no_grad()
def test_copies_can_be_told_apart():
    network = worn(graph_of(NASBENCH201, 1, 4, seed=1))
    graph = graph_of(NASBENCH201, 1, 8, seed=1)
    exact, noisy = with_width(network, graph), with_width(network, graph, noise=0.05)
    key = module_key("stages/1/reduction/second/conv")
    assert torch.equal(exact.nodes[key].weight[0], exact.nodes[key].weight[1])
    assert not torch.equal(noisy.nodes[key].weight[0], noisy.nodes[key].weight[1])
    assert 0 < float((noisy(images()) - network(images())).abs().max()) < 1


def test_networks_that_differ_in_more_than_width():
    network = worn(graph_of(NASBENCH201, 1, 4))
    with pytest.raises(ConfigError, match="expected networks that differ in their channels only"):
        with_width(network, graph_of(NASBENCH201, 2, 8))


RESIDUAL = NASBENCH201.parse(
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"
)


def residual_graph(cells):
    return NASBENCH201.to_graph(RESIDUAL, replace(NASBENCH201.defaults, cells=cells, channels=4, image_shape=IMAGE))


@torch.no_grad()
def test_deeper_networks_compute_the_same():
    network = worn(residual_graph(2))
    deeper = deepened(network, residual_graph(5))
    torch.testing.assert_close(deeper(images()), network(images()), rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="expected units that can hand on their input"):
        deepened(worn(graph_of(DARTS, 9, 4)), graph_of(DARTS, 10, 4))
    with pytest.raises(ConfigError, match="expected at least the depth of its source"):
        deepened(network, residual_graph(1))


@torch.no_grad()
def test_leading_units():
    network = worn(residual_graph(3))
    for cells in (2, 5):
        found = leading_units(network, residual_graph(cells))
        for index in range(cells):
            key = "stages/2/cells/{}/edge0/nor_conv_3x3/conv"
            mine, given = module_key(key.format(index)), module_key(key.format(min(index, 2)))
            assert torch.equal(found.nodes[mine].weight, network.nodes[given].weight)
    same = leading_units(network, residual_graph(3))
    torch.testing.assert_close(same(images()), network(images()))


@torch.no_grad()
def test_deeper_networks_refuse_units_that_add_something_without_weights():
    for text in (
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|avg_pool_3x3~2|",
        "|skip_connect~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|skip_connect~1|nor_conv_3x3~2|",
        "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
    ):
        architecture = NASBENCH201.parse(text)
        sizes = [replace(NASBENCH201.defaults, cells=cells, channels=4, image_shape=IMAGE) for cells in (1, 2)]
        graphs = [NASBENCH201.to_graph(architecture, config) for config in sizes]
        with pytest.raises(ConfigError, match="expected units that can hand on their input"):
            deepened(worn(graphs[0]), graphs[1])


@pytest.mark.parametrize("factor", [2, 3])
@torch.no_grad()
def test_wider_transformers_compute_the_same(factor):
    config = VISION_TRANSFORMER.defaults
    small = VISION_TRANSFORMER.parse("depth=2,width=24,heads=2,ratio=2,patch=8")
    large, _ = VISION_TRANSFORMER.resized(small, config, width=24 * factor)
    network = GraphNetwork(VISION_TRANSFORMER.to_graph(small, config), seed=1)
    for weight in network.parameters():
        weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)), alpha=0.3)
    wider = with_width(network, VISION_TRANSFORMER.to_graph(large, config))
    x = torch.randn(3, *config.image_shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(wider(x), network(x), rtol=1e-3, atol=1e-4)
    assert network(x).std(0).max() > 0.1


def test_copies_that_are_told_apart_learn_to_differ():
    network = worn(graph_of(NASBENCH201, 1, 4, seed=1))
    key = module_key("stages/1/reduction/second/conv")
    gaps = []
    for noise in (0.0, 0.05):
        wider = with_width(network, graph_of(NASBENCH201, 1, 8, seed=1), noise=noise).train()
        before = wider.nodes[key].weight.detach().clone()
        optimizer = torch.optim.SGD(wider.parameters(), lr=0.1)
        for step in range(3):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(wider(images(step)), torch.arange(3)).backward()
            optimizer.step()
        moved = wider.nodes[key].weight.detach() - before
        gaps.append(float((moved[0] - moved[1]).abs().max()))
    assert gaps[0] < 1e-6 < gaps[1]


def test_pixels_that_are_listed_for_the_classifier():
    graphs = [_listing(channels) for channels in (4, 8)]
    with pytest.raises(ConfigError, match="expected pixels to be averaged before the classifier, got flat"):
        with_width(GraphNetwork(graphs[0]), graphs[1])


def _listing(channels):
    builder = GraphBuilder()
    conv = builder.add("conv", builder.input((3, 4, 4)), name="conv", channels=channels)
    return builder.build(builder.add("linear", builder.add("flatten", conv, name="flat"), name="head", features=2))
