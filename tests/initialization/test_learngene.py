"""The auxiliary network shares what it should, and its descendants begin where it ends."""

import json
import random
from dataclasses import replace

import pytest
import torch
from torch import nn

from nasengine.errors import ConfigError
from nasengine.initialization.auxiliary_network import AuxiliaryNetwork
from nasengine.initialization.learngene import Learngene, num_stored
from nasengine.initialization.residual import residual_ends
from nasengine.initialization.units import units_of
from nasengine.network import GraphNetwork, module_key
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201

RESIDUAL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|avg_pool_3x3~2|"
IMAGE = (3, 16, 16)


def graph_of(cells, space=NASBENCH201, text=RESIDUAL):
    config = replace(space.defaults, cells=cells, channels=4, image_shape=IMAGE)
    architecture = space.parse(text) if space is NASBENCH201 else space.sample(random.Random(0))
    return space.to_graph(architecture, config)


def images(count=6, seed=0):
    return torch.randn(count, *IMAGE, generator=torch.Generator().manual_seed(seed))


def trained(graphs, **options):
    """An auxiliary network after some steps, so that nothing has its initial value."""
    network = AuxiliaryNetwork(graphs, **options)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for step in range(3):
        for index in range(len(graphs)):
            logits = network(images(seed=step), index=index)
            loss = nn.functional.cross_entropy(logits, torch.arange(6) % 10)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


@pytest.mark.parametrize(("space", "cells", "stages"), [(NASBENCH201, 3, 1), (NASBENCH201, 4, 2), (DARTS, 8, 1)])
def test_expansion_at_the_auxiliarys_own_depth_gives_its_outputs(space, cells, stages):
    graph = graph_of(cells, space)
    auxiliary = trained([graph], stages=stages)
    descendant = Learngene.of(auxiliary, {}).expand(graph).eval()
    with torch.no_grad():
        torch.testing.assert_close(descendant(images(seed=9)), auxiliary(images(seed=9)), rtol=0, atol=1e-5)


def test_what_is_shared_is_one_tensor_and_afterwards_is_not():
    graph = graph_of(3)
    auxiliary = trained([graph])
    descendant = Learngene.of(auxiliary, {}).expand(graph)
    first, second = "stages/1/cells/0/edge0/nor_conv_3x3/", "stages/1/cells/2/edge0/nor_conv_3x3/"
    for network, is_shared in ((auxiliary.network(0), True), (descendant, False)):
        convolutions = [network.nodes[module_key(f"{name}conv")].weight for name in (first, second)]
        norms = [network.nodes[module_key(f"{name}norm")].weight for name in (first, second)]
        assert (convolutions[0] is convolutions[1]) == is_shared
        assert norms[0] is not norms[1]
        assert torch.equal(*convolutions)
        assert not torch.equal(*norms)  # private, and trained
    other = auxiliary.network(0).nodes[module_key("stages/2/cells/0/edge0/nor_conv_3x3/conv")].weight
    assert other.shape != auxiliary.network(0).nodes[module_key(f"{first}conv")].weight.shape


def test_sizes_are_those_of_a_count_by_hand():
    auxiliary = AuxiliaryNetwork([graph_of(3)])
    learngene = Learngene.of(auxiliary, {})
    shared = sum(
        module.weight.numel()
        for name, module in auxiliary.network(0).nodes.items()
        if isinstance(module, nn.Conv2d) and "/cells/" in name and "/cells/0/" not in name
    )
    assert learngene.num_values == num_stored(GraphNetwork(graph_of(3))) - shared
    assert num_stored(auxiliary.network(0)) == learngene.num_values


def test_gradients_of_all_repeats_meet_in_the_shared_tensor():
    graph = graph_of(2)
    auxiliary = AuxiliaryNetwork([graph], seed=1)
    twin = Learngene.of(auxiliary, {}).expand(graph)
    labels = torch.arange(6) % 10
    for network in (auxiliary, twin):
        nn.functional.cross_entropy(network(images()), labels).backward()
    names = [module_key(f"stages/0/cells/{index}/edge2/nor_conv_3x3/conv") for index in (0, 1)]
    separate = sum(twin.nodes[name].weight.grad for name in names)
    torch.testing.assert_close(auxiliary.network(0).nodes[names[0]].weight.grad, separate, rtol=1e-4, atol=1e-6)


def test_other_depths_are_trained_with_the_same_weights():
    graphs = [graph_of(cells, DARTS) for cells in (8, 5)]
    auxiliary = trained(graphs)
    name = "cells/4/input1/conv"
    assert (
        auxiliary.network(1).nodes[module_key(name)].weight is not auxiliary.network(0).nodes[module_key(name)].weight
    )
    learngene = Learngene.of(auxiliary, {})
    assert learngene.expand(graphs[1]).graph == graphs[1]  # the odd second cell of five has a stage of its own
    alone = Learngene.of(trained(graphs[:1]), {})
    with pytest.raises(ConfigError, match="unit cells/1: expected one that the learngene knows"):
        alone.expand(graphs[1])


def test_files_and_manifests_go_both_ways(tmp_path):
    auxiliary = trained([graph_of(3)])
    learngene = Learngene.of(auxiliary, {"genotype": RESIDUAL, "lineage": ["runs/a"], "metrics": {"accuracy": 0.5}})
    learngene.save(tmp_path / "learngene.safetensors")
    found = Learngene.load(tmp_path / "learngene.safetensors")
    assert found.manifest == learngene.manifest
    assert found.stages == learngene.stages
    graph = graph_of(5)
    state, twin = (part.expand(graph).state_dict() for part in (learngene, found))
    assert all(torch.equal(state[name], twin[name]) for name in state)


@pytest.mark.parametrize(("change", "message"), [
    (lambda values: values.update(format=9), "expected format 1, got 9"),
    (lambda values: values.pop("stages"), "expected stages with name, signature and a size"),
    (lambda values: values.pop("manifest"), "expected a manifest, got none"),
    (lambda values: values["stages"].pop(), "expected one that the learngene knows"),
    (lambda values: values["stages"][1].update(size=-2), "a size of 1 to 4096"),
    (lambda values: values["stages"][1].update(size=float("inf")), "a size of 1 to 4096"),
    (lambda values: values["stages"][1].update(size=True), "a size of 1 to 4096"),
    (lambda values: values.update(stages=7), "expected stages with name, signature and a size"),
])  # fmt: skip
def test_files_that_hold_something_else(tmp_path, change, message):
    from nasengine.checkpoint import pack, unpack

    path = tmp_path / "learngene.safetensors"
    Learngene.of(AuxiliaryNetwork([graph_of(2)]), {}).save(path)
    state = unpack(path.read_bytes())
    change(state.values)
    path.write_bytes(pack(state))
    with pytest.raises(ConfigError, match=message):
        Learngene.load(path).expand(graph_of(2))


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 100])
def test_files_that_are_no_learngene(tmp_path, content):
    path = tmp_path / "learngene.safetensors"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="expected a safetensors file that 'nasengine init' wrote"):
        Learngene.load(path)
    whole = tmp_path / "whole.safetensors"
    Learngene.of(AuxiliaryNetwork([graph_of(1)]), json.loads('{"a": 1}')).save(whole)
    nested = b'{"__metadata__":{"values":"' + b"[" * 100_000 + b'"}}'
    for header in (b'{"__metadata__":{"values":"[1]"}}', nested):
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(ConfigError, match="expected a safetensors file that 'nasengine init' wrote"):
            Learngene.load(path)
    path.write_bytes(whole.read_bytes()[:-10])
    with pytest.raises(ConfigError, match="whole and readable"):
        Learngene.load(path)


def test_rescaling_keeps_the_sum_of_updates():
    learngene = Learngene.of(trained([graph_of(3)]), {})
    plain, scaled = (learngene.expand(graph_of(6), rescale=rescale) for rescale in (False, True))
    end = module_key("stages/0/cells/4/edge4/nor_conv_1x1/norm")
    torch.testing.assert_close(scaled.nodes[end].weight, plain.nodes[end].weight / 2)
    inner = module_key("stages/0/cells/4/edge0/nor_conv_3x3/norm")
    torch.testing.assert_close(scaled.nodes[inner].weight, plain.nodes[inner].weight)
    unit = units_of(plain.graph)[1]
    assert [plain.graph.names[node] for node in residual_ends(plain, unit)] == [
        "stages/0/cells/0/edge4/nor_conv_1x1/norm"
    ]
