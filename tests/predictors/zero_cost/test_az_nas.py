"""AZ-NAS against its formulas, and the blocks of networks that it looks at."""

import math
import random
from dataclasses import replace

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nasengine.graph import cost
from nasengine.randomness import seeded_generator
from predictors.zero_cost import AZ_NAS, measure, random_batch
from predictors.zero_cost.bottlenecks import BlockTrace
from predictors.zero_cost.layers import normal_weights
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201
from tests.predictors.zero_cost.measured_networks import BATCH, SMALL, cell_network


class Residual(nn.Module):
    """A stem and two residual blocks, the second of stride 2; keeps the maps at the ends of the three."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.down, self.shortcut, self.head = nn.Conv2d(4, 6, 3, 2, 1), nn.Conv2d(4, 6, 1, 2), nn.Linear(6, 4)

    def forward(self, x):
        first = self.stem(x)
        second = first + self.body(F.relu(first))
        third = self.shortcut(second)
        third += self.down(F.relu(second))
        self.ends = [first, second, third]
        return self.head(third.mean((2, 3)))


def test_az_nas_is_of_the_maps_between_blocks():
    network = Residual()
    found = measure(network, BATCH, AZ_NAS, seed=2)
    generator = seeded_generator(2, "az_nas")
    weights = normal_weights(network, generator, gain=math.sqrt(2))
    images = torch.randn(BATCH.images.shape, generator=generator).requires_grad_()
    torch.func.functional_call(network, weights, (images,))
    entropies, norms = [], []
    for end in network.ends:
        spectrum = numpy.linalg.eigvalsh(numpy.cov(end.detach().transpose(0, 1).flatten(1).double().numpy()))
        shares = spectrum / spectrum.sum()
        entropies.append(-(shares * numpy.log(shares)).sum())
    for start, end in zip(network.ends, network.ends[1:], strict=False):
        signs = torch.randint(2, end.shape, generator=generator) * 2.0 - 1
        back = torch.autograd.grad(end, start, signs, retain_graph=True)[0]
        back = F.pixel_unshuffle(back, back.shape[2] // end.shape[2])
        norms.append(float(torch.linalg.svdvals(torch.einsum("nihw,nohw->io", back, signs) / signs[:, 0].numel())[0]))
    macs = 36 * (108 + 144) + 9 * (216 + 24) + 24
    expected = [sum(entropies), min(numpy.diff(entropies)), 2 - numpy.mean([s + 1 / (s + 1e-6) for s in norms]), macs]
    assert list(found.values()) == pytest.approx(expected, rel=1e-3)


def test_block_ends_are_those_of_cells():
    """The very maps that the paper takes in NAS-Bench-201: of the stem, the cells and the reductions."""
    for index in range(12):
        network = NASBENCH201.build(NASBENCH201.sample(random.Random(index)), replace(SMALL, cells=2))
        images = torch.rand(2, 3, 8, 8, requires_grad=True)
        kept = {}
        for node, function in enumerate(network._functions):
            network._functions[node] = keeping(kept, network.graph.names[node], function)
        with BlockTrace(images) as trace:
            scores = network(images)
        names = [name for name in kept if name.endswith(("stem/conv", "node3", "reduction/sum"))]
        found = trace.block_ends()
        assert not trace.reaches(scores) or [id(kept[name]) for name in names] == [id(end) for end in found]


def keeping(kept, name, function):
    """The function, which leaves its results in ``kept``."""

    def call(*parts):
        kept[name] = function(*parts)
        return kept[name]

    return call


def test_complexity_is_that_of_the_graph():
    network = cell_network(image_shape=(3, 32, 32))
    macs = measure(network, random_batch((3, 32, 32), 4, size=2), ["az_complexity"])["az_complexity"]
    assert macs == cost(network.graph).macs


def test_cells_that_read_two_others_have_blocks():
    config = replace(DARTS.defaults, channels=4, cells=4, num_classes=4, image_shape=(3, 16, 16))
    network = DARTS.build(DARTS.sample(random.Random(0)), config)
    assert all(map(math.isfinite, measure(network, random_batch((3, 16, 16), 4, size=3)).values()))


def test_plain_networks_have_a_block_for_each_activation():
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 6, 1)]
    with BlockTrace(images) as trace:
        nn.Sequential(*layers, nn.ReLU())(images)
    assert [len(end[0]) for end in trace.block_ends()] == [4, 4, 5, 6]
