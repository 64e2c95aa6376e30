"""HiAML against parameters counted by hand and modules written by hand."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces.hiaml import BLOCKS, HIAML
from tests.search_spaces.counts_by_hand import assert_equal_with_equal_weights, conv, parameters, projection, split

HIAML_COUNTS = {
    "z": lambda i, o: conv(i, o, 9) + split(o, o),
    "a22": lambda i, o: conv(i, o, 9) + 2 * conv(o, o, 1),
    "b23": lambda i, o: projection(i, o) + split(i, o) + split(o, o),
    "j30": lambda i, o: projection(i, o) + conv(i, o, 9) + split(o, o),
    "g30": lambda i, o: projection(i, o) + split(i, o) + split(o, o) + conv(o, o, 1),
    "r30": lambda i, o: 2 * projection(i, o) + split(i, o) + conv(o, o, 1) + split(o, o),
    "l20": lambda i, o: conv(i, o, 9) + conv(o, o, 1),
    "t20": lambda i, o: conv(i, o, 1) + split(i, o),
    "t31": lambda i, o: 2 * projection(i, o) + split(i, o) + conv(o, o, 1) + split(o, o),
    "src0": lambda i, o: conv(i, o, 1) + 2 * conv(o, o, 9),
    "src1": lambda i, o: conv(i, o, 1) + conv(i, i, 9) + conv(i, o, 9),
    "src3": lambda i, o: conv(i, o, 1) + conv(i, i, 1) + conv(i, o, 9) + conv(o, o, 1),
    "src7": lambda i, o: conv(i, o, 1) + 2 * split(o, o),
    "src8": lambda i, o: conv(i, o, 1) + split(o, o) + conv(o, o, 1),
}


def test_hiaml_has_38416_architectures():
    assert HIAML.size == 14**4 == 38_416
    assert set(BLOCKS) == set(HIAML_COUNTS)


@pytest.mark.parametrize("name", BLOCKS)
def test_hiaml_parameters(name):
    widths = [(64, 64), (64, 64), (64, 128), (128, 128), (128, 128), (128, 128), (128, 256), (256, 256)]
    blocks = sum(HIAML_COUNTS[name](*pair) for pair in widths)
    assert parameters(HIAML, ",".join([name] * 4)) == conv(3, 64, 9) + blocks + 256 * 10 + 10


@pytest.mark.parametrize("name", BLOCKS)
def test_hiaml_shapes(name):
    graph = HIAML.to_graph(HIAML.parse(",".join([name] * 4)), HIAML.defaults)
    shapes = dict(zip(graph.names, (operation.output_shape for operation in graph.operations), strict=True))
    expected = [(64, 16, 16), (128, 8, 8), (128, 8, 8), (256, 4, 4)]
    for block in (0, 1):
        assert [shapes[f"stages/{stage}/blocks/{block}/relu"] for stage in range(4)] == expected


def conv_norm(inputs, outputs, kernel, stride=1):
    pair = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = tuple(size // 2 for size in pair)
    return nn.Sequential(nn.Conv2d(inputs, outputs, pair, stride, padding, bias=False), nn.BatchNorm2d(outputs))


def split_conv(inputs, outputs, stride=1):
    first, second = conv_norm(inputs, outputs, (1, 3), stride), conv_norm(outputs, outputs, (3, 1))
    return nn.Sequential(first, nn.ReLU6(), second, nn.ReLU6())


def shortcut(inputs, outputs, stride):
    return nn.Identity() if inputs == outputs and stride == 1 else conv_norm(inputs, outputs, 1, stride)


class G30(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = split_conv(inputs, outputs, stride)
        self.shortcut = shortcut(inputs, outputs, stride)
        self.second = split_conv(outputs, outputs)
        self.third = conv_norm(outputs, outputs, 1)

    def forward(self, x):
        first = self.first(x)
        return F.relu(first + self.third(self.second(self.shortcut(x) + first)))


class R30(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = split_conv(inputs, outputs, stride)
        self.inner_shortcut = shortcut(inputs, outputs, stride)
        self.second = conv_norm(outputs, outputs, 1)
        self.outer_shortcut = shortcut(inputs, outputs, stride)
        self.third = split_conv(outputs, outputs)

    def forward(self, x):
        first = self.first(x)
        second = self.second(self.inner_shortcut(x) + first)
        return F.relu(self.outer_shortcut(x) + second + self.third(first))


class Src1(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.side = nn.Sequential(conv_norm(inputs, outputs, 1, stride), nn.ReLU6())
        self.narrow = nn.Sequential(conv_norm(inputs, inputs, 3), nn.ReLU6())
        self.end = conv_norm(inputs, outputs, 3, stride)

    def forward(self, x):
        return F.relu(self.side(x) + self.end(self.narrow(x)))


class T31(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = split_conv(inputs, outputs, stride)
        self.second = nn.Sequential(conv_norm(outputs, outputs, 1), nn.ReLU6())
        self.inner_shortcut = shortcut(inputs, outputs, stride)
        self.third = split_conv(outputs, outputs)
        self.outer_shortcut = shortcut(inputs, outputs, stride)

    def forward(self, x):
        second = self.second(self.first(x))
        return F.relu(self.outer_shortcut(x) + second + self.third(self.inner_shortcut(x) + second))


def hand_written_hiaml(block):
    """HiAML at 4 channels, with its parts in the order of the graph."""
    sizes = [(4, 4, 1), (4, 4, 1), (4, 8, 2), (8, 8, 1), (8, 8, 1), (8, 8, 1), (8, 16, 2), (16, 16, 1)]
    blocks = [block(*size) for size in sizes]
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    return nn.Sequential(conv_norm(3, 4, 3, 2), nn.ReLU(), *blocks, *head).eval()


@pytest.mark.parametrize(("name", "block"), [("g30", G30), ("r30", R30), ("src1", Src1), ("t31", T31)])
def test_hiaml_computes_what_hand_written_modules_do(name, block):
    config = replace(HIAML.defaults, channels=4, image_shape=(3, 16, 16))
    ours = HIAML.build(HIAML.parse(",".join([name] * 4)), config)
    assert_equal_with_equal_weights(ours, hand_written_hiaml(block), 50 * torch.rand(2, 3, 16, 16))
