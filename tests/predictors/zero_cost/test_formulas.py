"""Zero-cost proxies against explicit formulas."""

import copy
import math

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nasengine.errors import TrainingError
from nasengine.randomness import seeded_generator
from predictors.zero_cost import measure
from predictors.zero_cost.layers import normal_weights
from tests.predictors.zero_cost.measured_networks import BATCH, RELUS, Small


@pytest.mark.parametrize("relu", RELUS)
def test_nwot_counts_the_units_on_which_images_agree(relu):
    network = Small(relu)
    active = (network.norm(network.conv(BATCH.images)) > 0).flatten(1)
    kernel = [[float((one == other).sum()) for other in active] for one in active]
    expected = numpy.linalg.slogdet(numpy.array(kernel) + numpy.eye(len(active)))[1]
    assert measure(network, BATCH, ["nwot"])["nwot"] == pytest.approx(expected, rel=1e-9)


def test_proxies_of_the_loss_gradient():
    network = Small(F.relu)
    twin = copy.deepcopy(network)
    F.cross_entropy(twin(BATCH.images), BATCH.labels).backward()
    weights = [twin.conv.weight, twin.head.weight]
    pairs = [(weight.detach().numpy().ravel(), weight.grad.numpy().ravel()) for weight in weights]
    expected = {
        "grad_norm": sum(numpy.linalg.norm(gradient) for _, gradient in pairs),
        "snip": sum(numpy.abs(weight * gradient).sum() for weight, gradient in pairs),
        "l2_norm": sum(numpy.linalg.norm(weight) for weight, _ in pairs),
    }
    assert measure(network, BATCH, expected) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("relu", [F.relu, nn.ReLU(inplace=True)])
def test_fisher_is_that_of_the_outputs_of_layers(relu):
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), relu if isinstance(relu, nn.Module) else nn.ReLU(), nn.Flatten(), nn.Linear(64, 4)
    )
    first = network[0](BATCH.images).detach().requires_grad_()
    second = network[3](F.relu(first).flatten(1))
    by_output = torch.autograd.grad(F.cross_entropy(second, BATCH.labels), [first, second])
    of_channels = (first * by_output[0]).sum((2, 3)).square().mean(0) / 2
    of_scores = (second * by_output[1]).square().mean(0) / 2
    expected = (of_channels.sum() * 27 + of_scores.sum() * 64).item()  # weights of a channel: 3 x 3 x 3, and 64
    assert measure(network, BATCH, ["fisher"])["fisher"] == pytest.approx(expected, rel=1e-5)


def test_jacov_is_of_the_eigenvalues_of_the_correlations():
    network = Small(F.relu)
    images = BATCH.images.clone().requires_grad_()
    gradient = torch.autograd.grad(network(images).sum(), images)[0]
    values = numpy.linalg.eigvalsh(numpy.corrcoef(gradient.flatten(1).double().numpy())) + 1e-5
    expected = -(numpy.log(values) + 1 / values).sum()
    assert measure(network, BATCH, ["jacov"])["jacov"] == pytest.approx(expected, rel=1e-3)


def test_synflow_is_a_product_of_absolute_weights():
    first, second = nn.Linear(108, 5, bias=False), nn.Linear(5, 4, bias=False)
    network = nn.Sequential(nn.Flatten(), first, nn.BatchNorm1d(5), nn.ReLU(), second)
    flow = (second.weight.abs() @ first.weight.abs()).sum().item()
    # Every path goes through one weight of each of the two layers.
    assert measure(network, BATCH, ["synflow"])["synflow"] == pytest.approx(math.log1p(2 * flow), rel=1e-5)


def linear_chain(depth: int) -> nn.Module:
    """Layers of ones, each of which multiplies by 108."""
    layers = [nn.Linear(108, 108, bias=False) for _ in range(depth)]
    for layer in layers:
        nn.init.ones_(layer.weight)
    return nn.Sequential(nn.Flatten(), *layers)


def test_synflow_leaves_float32():
    expected = math.log(100) + 101 * math.log(108)
    assert measure(linear_chain(100), BATCH, ["synflow"])["synflow"] == pytest.approx(expected, rel=1e-9)
    with pytest.raises(TrainingError, match="proxy synflow: expected a finite score, got inf"):
        measure(linear_chain(200), BATCH, ["synflow"])


def test_zen_is_the_answer_to_noise_and_what_norms_took():
    network = Small(nn.ReLU())
    generator = seeded_generator(7, "zen")
    weights = normal_weights(network, generator, gain=None)
    start, change = (torch.randn(BATCH.images.shape, generator=generator) for _ in range(2))
    maps = [F.conv2d(x, weights["conv.weight"], padding=1) for x in (start, start + 0.01 * change)]
    before, after = (F.relu(F.batch_norm(x, None, None, training=True)) for x in maps)
    expected = (before - after).abs().sum((1, 2, 3)).mean().log() + maps[0].var(
        (0, 2, 3), correction=0
    ).mean().log() / 2
    assert measure(network, BATCH, ["zen"], seed=7)["zen"] == pytest.approx(float(expected), rel=1e-5)
