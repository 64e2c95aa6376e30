"""Where adapters of low rank start, against singular value decompositions and products that are written out."""

import copy

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nasengine.initialization.adapters import (
    AdapterConfig,
    attach_adapters,
    merge_adapters,
)
from nasengine.initialization.adapters.directions import sampled_inputs
from nasengine.initialization.adapters.layers import AdaptedLayer
from nasengine.network import GraphNetwork
from tests.initialization.networks_to_adapt import (
    adapt,
    conv_network,
    darts_network,
    labelled,
    linear_network,
    nasbench201_network,
    random_images,
)

# --- where adapters start -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2])
def test_pissa_takes_the_top_singular_triplets(groups):
    network = conv_network(groups)
    adapted = attach_adapters(network, AdapterConfig(rank=2, initialization="pissa", layers=["conv"])).network
    layer = adapted.nodes["conv"]
    blocks = network.nodes["conv"].weight.detach().numpy().reshape(groups, 8 // groups, -1)
    for group, block in enumerate(blocks):
        u, s, v = numpy.linalg.svd(block, full_matrices=False)
        b, a = layer.b[group].detach().numpy(), layer.a[group].detach().numpy()
        numpy.testing.assert_allclose(b @ a, (u[:, :2] * s[:2]) @ v[:2], atol=1e-6)
        numpy.testing.assert_allclose((b**2).sum(0), s[:2], rtol=1e-5)  # the root of S on both sides
        numpy.testing.assert_allclose((a**2).sum(1), s[:2], rtol=1e-5)
        residual = layer.layer.weight.detach().numpy().reshape(groups, 8 // groups, -1)[group]
        numpy.testing.assert_allclose(numpy.linalg.svd(residual)[1][: len(s) - 2], s[2:], atol=1e-5)


def unfolded(images: Tensor, groups: int) -> numpy.ndarray:
    """Patches of 3x3 with padding 1 and stride 2, group by group: (groups, places, values)."""
    patches = F.unfold(images, 3, padding=1, stride=2)  # (batch, channels * 9, places)
    rows = patches.permute(0, 2, 1).reshape(-1, groups, 36 // groups)
    return rows.transpose(0, 1).double().numpy()


def test_sampled_inputs_are_what_lies_under_the_kernel():
    settings = {"kernel": (5, 3), "padding": (4, 1), "dilation": (2, 1), "stride": (2, 1)}
    layer, images = conv_network(**settings).nodes["conv"], random_images(3, (4, 8, 8))
    patches = F.unfold(images, (5, 3), (2, 1), (4, 1), (2, 1)).permute(0, 2, 1).reshape(-1, 2, 30).transpose(0, 1)
    every = sampled_inputs(layer, images, 10_000, torch.Generator())
    assert torch.equal(every, patches)
    some = sampled_inputs(layer, images, 10, torch.Generator().manual_seed(0))
    assert some.shape == (2, 10, 30)
    assert all((patches[group] == row).all(1).any() for group in (0, 1) for row in some[group])


@pytest.mark.parametrize("groups", [1, 2])
def test_eva_finds_the_directions_of_unfolded_activations(groups):
    mixing = torch.randn(4, 4, generator=torch.Generator().manual_seed(5))
    images = torch.einsum("oc,bchw->bohw", mixing, random_images(30, (4, 8, 8)))
    config = AdapterConfig(rank=3, layers=["conv"], rho=4.0, tau=1.0, samples_per_batch=10_000)
    result = attach_adapters(conv_network(groups), config, labelled(*images.split(10)), seed=0)
    rows = unfolded(images, groups)
    _, values, vectors = numpy.linalg.svd(rows, full_matrices=False)
    shares = (values**2).sum(0) / (rows**2).sum()
    limit = min(8 // groups, 36 // groups)
    numpy.testing.assert_allclose(result.explained_variance["conv"], shares[:limit], rtol=0.02)
    assert result.ranks == {"conv": 3}
    assert result.num_inputs == {"conv": 30 * 16}
    cosines = (result.network.nodes["conv"].a.detach().double().numpy() * vectors[:, :3]).sum(-1)
    assert abs(cosines).min() > 0.98
    assert not result.network.nodes["conv"].b.any()


def test_eva_is_exact_where_it_carries_all_directions_on():
    images = [random_images(12, seed=seed) * torch.linspace(0.1, 2, 16) for seed in range(3)]
    config = AdapterConfig(rank=10, layers=["hidden"], rho=2.0, tau=1.0)  # carries 40 on, and there are 36 images
    result = attach_adapters(linear_network(), config, labelled(*images), seed=0)
    rows = torch.cat(images).flatten(1).double().numpy()
    _, values, vectors = numpy.linalg.svd(rows, full_matrices=False)
    shares = values**2 / (values**2).sum()
    numpy.testing.assert_allclose(result.explained_variance["hidden"], shares[:20], rtol=1e-9)
    found = result.network.nodes["hidden"].a[0].detach().numpy()
    numpy.testing.assert_allclose(abs((found * vectors[:10]).sum(1)), 1.0, atol=1e-5)


def test_evas_directions_catch_more_than_random_ones():
    # Neighbouring pixels are alike, as in photos; in white noise every direction is as good as any other.
    images = F.interpolate(random_images(60, (3, 5, 5), seed=9), size=16, mode="bilinear")
    caught = {}
    network = darts_network().eval()
    for kind in ("eva", "random"):
        config = AdapterConfig(rank=2, initialization=kind, rho=1.0)
        adapted = attach_adapters(network, config, labelled(*images[:40].split(20)), seed=0).network
        caught[kind] = traces(adapted, images[40:])  # images that it has not seen
    assert caught["eva"].keys() <= caught["random"].keys()
    assert all(caught["eva"][name] > caught["random"][name] for name in caught["eva"])
    assert len(caught["eva"]) > 10


@torch.no_grad()
def traces(network: GraphNetwork, images: Tensor) -> dict[str, float]:
    """trace(A C A^T) by layer, with rows of A made orthonormal: the mean square of inputs in the span of A."""
    found = {}

    def note(module, inputs):
        conv = module.layer
        if isinstance(conv, torch.nn.Linear):
            rows = inputs[0]
        else:
            patches = F.unfold(inputs[0], conv.kernel_size, conv.dilation, conv.padding, conv.stride)
            rows = patches.permute(0, 2, 1).flatten(0, 1)
        basis, _ = torch.linalg.qr(module.a[0].detach().T)
        found[module] = float((rows @ basis).square().sum(1).mean())

    layers = {name: module for name, module in network.nodes.items() if isinstance(module, AdaptedLayer)}
    for layer in layers.values():
        layer.register_forward_pre_hook(note)
    network(images)
    return {name: found[layer] for name, layer in layers.items()}


def test_the_gradient_of_b_is_larger_along_evas_directions():
    """What the trace stands for: E ||dL/dB||^2 is proportional to it."""
    network, images = linear_network(), random_images(64) + 2 * random_images(1, seed=4)
    norms = {}
    for kind in ("eva", "random"):
        config = AdapterConfig(rank=2, initialization=kind, layers=["hidden"])
        layer_network = attach_adapters(network, config, labelled(images), seed=0).network
        layer = layer_network.nodes["hidden"]
        with torch.no_grad():
            layer.a.copy_(torch.linalg.qr(layer.a[0].T)[0].T[None])
        F.cross_entropy(layer_network(images), torch.arange(64) % 5).backward()
        norms[kind] = float(layer.b.grad.square().sum())
    assert norms["eva"] > 2 * norms["random"]


@pytest.mark.parametrize("train_norms", [False, True])
def test_eva_sees_norms_as_training_will(train_norms):
    network = nasbench201_network().eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    images, seen = 3 * random_images(16) + 2, []
    name = "stages/1/reduction/shortcut_conv"
    expected = copy.deepcopy(network).train(train_norms)
    expected.nodes[name].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    expected(images)
    config = AdapterConfig(rank=1, layers=[name], rho=1.0, train_norms=train_norms, samples_per_batch=10_000)
    result = attach_adapters(network, config, labelled(images))
    rows = seen[0].detach().permute(0, 2, 3, 1).flatten(0, 2).double().numpy()
    values = numpy.linalg.svd(rows)[1]
    assert result.explained_variance[name][0] == pytest.approx(values[0] ** 2 / (values**2).sum(), rel=1e-5)
    after = merge_adapters(result.network).state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert not result.network.training


# --- ranks ----------------------------------------------------------------------------------------------------------


def test_ranks_go_where_most_is_explained():
    result = adapt(nasbench201_network(), "eva", rho=2.0)
    shares = result.explained_variance
    pooled = sorted((share for values in shares.values() for share in values), reverse=True)
    threshold = pooled[2 * len(shares) - 1]
    expected = {name: sum(share >= threshold for share in values) for name, values in shares.items()}
    assert {name: rank for name, rank in expected.items() if rank} == result.ranks
    assert sum(result.ranks.values()) == 2 * len(shares)
    assert len(set(result.ranks.values())) > 1
    assert max(result.ranks.values()) <= 4


def test_rho_of_one_is_uniform():
    assert set(adapt(nasbench201_network(), "eva", rho=1.0).ranks.values()) == {2}


def test_ranks_end_at_what_a_layer_allows_and_depthwise_layers_are_named():
    result = adapt(darts_network(), "pissa", rank=1000)
    nodes = darts_network().nodes
    for name, rank in result.ranks.items():
        assert rank == min(len(nodes[name].weight), nodes[name].weight[0].numel())
    depthwise = {name for name, part in nodes.items() if getattr(part, "groups", 1) > 1}
    assert set(result.skipped) == depthwise
    assert depthwise
    sizes = {"its matrix of 1 x 9 has no lower rank", "its matrix of 1 x 25 has no lower rank"}
    assert set(result.skipped.values()) == sizes


def test_layers_are_chosen_by_pattern():
    names = adapt(nasbench201_network(), "random", layers=["stages/1/*", "stem/conv"]).ranks
    assert "stem/conv" in names
    assert {name.split("/")[0] for name in names} == {"stem", "stages"}
    assert all(name.startswith(("stem", "stages/1/")) for name in names)


def test_the_same_seed_gives_the_same_adapters():
    for kind in ("random", "eva"):
        batch = labelled(random_images(8, (4, 8, 8)))
        options = {"rho": 1.0, "samples_per_batch": 50, "initialization": kind}
        first, second, other = (
            attach_adapters(conv_network(), AdapterConfig(**options), batch, seed=seed).network for seed in (0, 0, 1)
        )
        assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())
        assert not torch.equal(first.nodes["conv"].a, other.nodes["conv"].a)


def test_the_pass_ends_once_directions_are_settled():
    taken = []

    def feed():
        for number in range(50):
            taken.append(number)
            yield random_images(8, (4, 8, 8), number) + 3, torch.zeros(8, dtype=torch.long)

    result = attach_adapters(conv_network(), AdapterConfig(rank=1, rho=1.0), feed())
    assert len(taken) < 5
    assert result.ranks == {"conv": 1, "head": 1}
