"""What a measurement leaves alone, what decides its outcome, and what it refuses."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nasengine.errors import ConfigError, DataError, NasEngineError, TrainingError, UnknownNameError
from predictors.zero_cost import AZ_NAS, PROXIES, ProxyBatch, measure, random_batch
from predictors.zero_cost.layers import layer_weights
from tests.predictors.zero_cost.measured_networks import BATCH, EMPTY, Small, cell_network


def fingerprint(network: nn.Module) -> list:
    """Everything that a measurement might disturb."""
    tensors = [(name, value.clone()) for name, value in network.state_dict().items()]
    flags = [(weight.requires_grad, weight.grad is None, id(weight)) for weight in network.parameters()]
    modules = [
        (module.training, len(module._forward_hooks), len(module._forward_pre_hooks), "forward" in vars(module))
        for module in network.modules()
    ]
    return [tensors, flags, modules, torch.get_rng_state()]


@pytest.mark.parametrize("make", [cell_network, lambda: Small(nn.ReLU(inplace=True))])
def test_the_network_is_left_as_it_was(make):
    network = make()
    modules = list(network.modules())
    modules[-1].eval()
    next(network.parameters()).requires_grad_(False)
    batch = random_batch((3, 8, 8), 4, size=4)
    images = batch.images.clone()
    before = fingerprint(network)
    measure(network, batch)
    after = fingerprint(network)
    assert all(torch.equal(old[1], new[1]) for old, new in zip(before[0], after[0], strict=True))
    assert before[1:3] == after[1:3]
    assert torch.equal(before[3], after[3])
    assert torch.equal(images, batch.images)
    assert not batch.images.requires_grad


def test_a_fault_leaves_the_network_as_it_was():
    network = cell_network().eval()
    with pytest.raises(DataError):
        measure(network, ProxyBatch(torch.zeros(2, 3, 8, 8), torch.tensor([0, 9])), ["snip", "fisher"])
    assert not any(module.training for module in network.modules())


def test_together_or_alone_proxies_are_the_same():
    network, batch = cell_network(), random_batch((3, 8, 8), 4, size=4)
    together = measure(network, batch)
    assert list(together) == list(PROXIES)
    assert all(math.isfinite(value) for value in together.values())
    assert {name: proxy(network, batch) for name, proxy in PROXIES.items()} == pytest.approx(together, rel=1e-5)


def test_the_seed_decides():
    network = nn.Sequential(Small(F.relu), nn.Dropout(0.5))
    first = measure(network, BATCH, ["zen", "snip"], seed=1)
    torch.rand(3)
    assert measure(network, BATCH, ["zen", "snip"], seed=1) == first
    other = measure(network, BATCH, ["snip", "zen"], seed=2)
    assert list(other) == ["snip", "zen"]
    assert other["zen"] != first["zen"]
    assert other["snip"] != first["snip"]


def test_networks_that_do_not_see_the_image_come_last():
    batch = random_batch((3, 8, 8), 4, size=4)
    empty, whole = measure(cell_network(EMPTY), batch), measure(cell_network(), batch)
    better = {name for name in PROXIES if whole[name] > empty[name]}
    # By Fisher information and by the size of weights it is not even last in the benchmark's table.
    assert better >= set(PROXIES) - {"fisher", "l2_norm"}
    assert empty["synflow"] == empty["snip"] == 0


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(3, 8, 8), torch.zeros(3, dtype=torch.int64), r"expected at least 2 images.*shape \(3, 8, 8\)"),
        (torch.zeros(1, 3, 8, 8), torch.zeros(1, dtype=torch.int64), "expected at least 2 images"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), "images of floats.*uint8"),
        (torch.zeros(2, 3, 8, 8), torch.zeros(3, dtype=torch.int64), r"expected 2 labels.*shape \(3,\)"),
        (torch.zeros(2, 3, 8, 8), torch.zeros(2), "expected 2 labels of type torch.int64.*float32"),
        (torch.full((2, 3, 8, 8), math.nan), torch.zeros(2, dtype=torch.int64), "expected finite images"),
    ],
)
def test_bad_batches_are_refused(images, labels, message):
    with pytest.raises(DataError, match=message):
        ProxyBatch(images, labels)


@pytest.mark.parametrize(
    ("network", "names", "error", "message"),
    [
        (Small(F.relu), ["snap"], UnknownNameError, "proxy 'snap' is unknown.*did you mean 'snip'"),
        (nn.Sequential(nn.Flatten(), nn.Linear(108, 3)), ["snip"], DataError, "labels from 0 to 2.*got 0 to 3"),
        (nn.Sequential(nn.Flatten(), nn.Linear(108, 4)), ["nwot"], ConfigError, "with ReLUs or their relatives"),
        (nn.Sequential(nn.Flatten(), nn.Linear(108, 4)), AZ_NAS, ConfigError, "ends of at least two blocks, got 0"),
        (nn.Flatten(), ["l2_norm"], ConfigError, "expected a network with convolutions or linear layers"),
        (nn.Conv2d(3, 4, 3), ["snip"], ConfigError, r"scores of shape \(batch, classes\), got \(5, 4, 4, 4\)"),
        (Small(lambda x: x * math.nan), ["snip"], TrainingError, "proxy snip: expected a finite score, got nan"),
        (Small(F.relu).to("meta"), ["snip"], DataError, "images on the network's device meta, got them on cpu"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(network, names, error, message):
    with pytest.raises(error, match=message) as caught:
        measure(network, BATCH, names)
    assert isinstance(caught.value, NasEngineError)


def test_layers_are_convolutions_and_classifiers():
    assert set(layer_weights(Small(F.relu))) == {"conv.weight", "head.weight"}
