"""Channels in the order of their importance."""

import random

import pytest
import torch

from nasengine.graph import GraphBuilder
from nasengine.supernet.elastic import sort_channels
from nasengine.supernet.elastic.channel_groups import channel_groups, elastic_groups


def images(seed=0):
    return torch.randn(6, 2, 16, 16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_sorting_leaves_networks_of_full_width_as_they_are(supernet, elastic_space, mode):
    supernet.double().train(mode == "train")
    rng = random.Random(0)
    whole = [elastic_space.largest(), *(elastic_space.sample_within(("kernel", "depth"), rng) for _ in range(3))]
    narrow = elastic_space.shrunk(("expansion",))
    before = [supernet(images().double(), one) for one in (*whole, narrow)]
    assert sort_channels(supernet, "expansion") == 9  # each of 6 blocks, and the squeezed channels of 3
    for architecture, expected in zip(whole, before, strict=False):
        torch.testing.assert_close(supernet(images().double(), architecture), expected, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(supernet(images().double(), narrow), before[-1], rtol=1e-3, atol=1e-3)
    assert sort_channels(supernet, "kernel") == 0


def test_the_first_channels_are_those_with_the_largest_weights(supernet):
    projection = supernet.nodes["stages/1/blocks/0/projection/conv"].weight
    expand = supernet.nodes["stages/1/blocks/0/squeeze/expand"].weight
    expected = projection.abs().sum((0, 2, 3)).sort(descending=True).values
    sort_channels(supernet, "expansion")
    torch.testing.assert_close(projection.abs().sum((0, 2, 3)), expected)
    hidden = expand.abs().sum((0, 2, 3))
    assert torch.equal(hidden, hidden.sort(descending=True).values)


def test_sorting_twice_changes_nothing(supernet):
    sort_channels(supernet, "expansion")
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    sort_channels(supernet, "expansion")
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())


def test_only_channels_inside_blocks_are_elastic(supernet):
    names = supernet.graph.names
    for group in elastic_groups(supernet.graph, supernet.corners["expansion"]):
        parts = {names[node].rsplit("/", 2)[1] for node in group.producers}
        assert parts in ({"expansion", "depthwise", "squeeze"}, {"expansion", "depthwise"}, {"squeeze"})
    widths = [len(group.readers) for group in elastic_groups(supernet.graph, supernet.corners["expansion"])]
    assert sorted(widths) == [1] * 6 + [2] * 3


@pytest.mark.parametrize(("end", "found"), [("concat", []), ("conv", [["first", "second"]])])
def test_channels_that_something_else_tells_apart_stay(end, found):
    """What is concatenated has its place; otherwise the sum ties the channels of both convolutions."""
    builder = GraphBuilder()
    image = builder.input((3, 4, 4))
    first = builder.add("conv", image, name="first", channels=8, kernel=1)
    second = builder.add("conv", first, name="second", channels=8, kernel=1)
    last = builder.add("add", first, second, name="sum")
    if end == "concat":
        last = builder.add("concat", last, image, name="concat", axis=0)
    graph = builder.build(builder.add("conv", last, name="last", channels=2, kernel=1))
    groups = channel_groups(graph)
    assert [[graph.names[node] for node in group.producers] for group in groups] == found
    assert [[graph.names[node] for node in group.readers] for group in groups] == [["second", "last"]] * len(found)
