"""Subnets of an elastic supernet against networks of their own."""

import copy
import random
from dataclasses import replace

import pytest
import torch

from nasengine.errors import ConfigError
from nasengine.protocols import ElasticSpace
from nasengine.supernet.elastic import ElasticSupernet
from nasengine.supernet.training import recalibrate
from search_spaces.mobilenet import MOBILENET, PROXYLESSNAS


def images(count=6, seed=0):
    return torch.randn(count, 2, 16, 16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_subnet_computes_what_its_extracted_network_does(supernet, seed, mode, elastic_space, elastic_config):
    supernet.double().train(mode == "train")
    architecture = elastic_space.sample(random.Random(seed))
    network = supernet.extract(architecture)
    expected = elastic_space.to_graph(architecture, elastic_config)
    assert network.graph == expected
    found = supernet(images().double(), architecture)
    torch.testing.assert_close(found, network(images().double()), rtol=1e-6, atol=1e-6)
    assert found.std(0).max() > 1e-3


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_same_in_single_precision(supernet, mode, elastic_space):
    supernet.train(mode == "train")
    for seed in range(3):
        architecture = elastic_space.sample(random.Random(seed))
        network = supernet.extract(architecture)
        with torch.no_grad():
            torch.testing.assert_close(supernet(images(), architecture), network(images()), rtol=1e-6, atol=1e-6)


def test_the_largest_network_has_all_weights_and_the_smallest_shares_them(supernet, elastic_space):
    largest = supernet.eval().extract(elastic_space.largest()).state_dict()
    own = supernet.state_dict()
    assert {name for name in own if not name.startswith("transforms.")} == set(largest)
    assert all(torch.equal(own[name], value) for name, value in largest.items())
    smallest = supernet.extract(elastic_space.smallest()).state_dict()
    name = "nodes.stages/1/blocks/0/squeeze/reduce.weight"
    outputs, inputs = smallest[name].shape[:2]
    assert (outputs, inputs) < own[name].shape[:2]
    assert torch.equal(smallest[name], own[name][:outputs, :inputs])


def test_kernels_begin_as_plain_centres_and_go_through_matrices_step_by_step(elastic_space, elastic_config):
    supernet = ElasticSupernet(elastic_space, elastic_config, seed=0)
    name = "stages/0/blocks/1/depthwise/conv"
    weight, architecture = supernet.nodes[name].weight, elastic_space.shrunk(("kernel",))
    assert torch.equal(supernet.extract(architecture).nodes[name].weight, weight[:, :, 2:5, 2:5])
    first, second = torch.randn(25, 25), torch.randn(9, 9)
    with torch.no_grad():
        supernet.transforms[name].matrices["5x5"].copy_(first)
        supernet.transforms[name].matrices["3x3"].copy_(second)
    middle = torch.stack([first @ kernel.flatten() for kernel in weight[:, 0, 1:6, 1:6]]).unflatten(1, (5, 5))
    expected = torch.stack([second @ kernel.flatten() for kernel in middle[:, 1:4, 1:4]]).unflatten(1, (3, 3))
    torch.testing.assert_close(supernet.extract(architecture).nodes[name].weight[:, 0], expected)
    plain = ElasticSupernet(elastic_space, elastic_config, seed=0, learns_kernels=False)
    assert not [key for key, _ in plain.named_parameters() if key.startswith("transforms")]
    assert torch.equal(plain.extract(architecture).nodes[name].weight, weight[:, :, 2:5, 2:5])


def test_a_step_on_a_subnet_leaves_the_weights_that_it_does_not_use(supernet, elastic_space):
    architecture = elastic_space.smallest()
    supernet.train()(images(), architecture).square().mean().backward()
    conv = supernet.nodes["stages/0/blocks/0/expansion/conv"]
    width = supernet.extract(architecture).nodes["stages/0/blocks/0/expansion/conv"].weight.shape[0]
    assert conv.weight.grad[:width].abs().sum() > 0
    assert conv.weight.grad[width:].abs().sum() == 0
    assert supernet.nodes["stages/0/blocks/2/expansion/conv"].weight.grad is None
    assert supernet.transforms["stages/0/blocks/0/depthwise/conv"].matrices["3x3"].grad.abs().sum() > 0


def test_statistics_of_a_subnet_are_measured_as_those_of_its_network(supernet, elastic_space):
    architecture = elastic_space.sample(random.Random(2))
    network = supernet.extract(architecture)
    feed = [images(seed=seed) for seed in range(3)]
    recalibrate(supernet, lambda batch: supernet(batch, architecture), feed)
    recalibrate(network, network, feed)
    with torch.no_grad():
        torch.testing.assert_close(
            supernet.eval()(feed[0], architecture), network.eval()(feed[0]), rtol=1e-5, atol=1e-6
        )


def test_the_choice_is_an_argument_and_leaves_no_trace(supernet, elastic_space):
    supernet.eval()
    before = copy.deepcopy(supernet.state_dict())
    first, second = elastic_space.sample(random.Random(0)), elastic_space.sample(random.Random(1))
    with torch.no_grad():
        expected = supernet(images(), first)
        assert not torch.equal(expected, supernet(images(), second))
        assert torch.equal(expected, supernet(images(), first))
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())


def test_corners_and_draws_of_the_space_are_its_own():
    assert isinstance(MOBILENET, ElasticSpace)
    assert not isinstance(PROXYLESSNAS, ElasticSpace)
    assert MOBILENET.shrunk(()) == MOBILENET.largest()
    assert MOBILENET.shrunk(MOBILENET.elastic_choices) == MOBILENET.smallest()
    rng = random.Random(0)
    for choices in [(), ("kernel",), ("depth", "expansion"), MOBILENET.elastic_choices]:
        MOBILENET.validate(MOBILENET.sample_within(choices, rng))
    blocks = {block for stage in MOBILENET.sample_within(("kernel",), rng).genotype.stages for block in stage}
    assert {block.expansion for block in blocks} == {6}
    assert {block.kernel for block in blocks} == {3, 5, 7}
    with pytest.raises(ConfigError, match="expected resolution, kernel, depth or expansion, got .'width'"):
        MOBILENET.shrunk(("width",))


def test_what_is_no_part_of_the_largest_network_is_refused(supernet, elastic_space):
    wider = elastic_space.with_layout(replace(elastic_space.layout, expansions=(3, 8)))
    supernet.space = wider
    with pytest.raises(ConfigError, match="stages/0/blocks/0/expansion/conv: expected a part of"):
        supernet(images(), wider.largest())
    stages = (replace(elastic_space.layout.stages[0], num_blocks=6), *elastic_space.layout.stages[1:])
    longer = elastic_space.with_layout(replace(elastic_space.layout, stages=stages))
    supernet.space = longer
    with pytest.raises(ConfigError, match="expected nodes of the largest network, got stages/0/blocks/3"):
        supernet(images(), longer.shrunk(("kernel",)))
