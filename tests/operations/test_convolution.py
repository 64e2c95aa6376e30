"""The short cuts of our convolution change nothing but the time."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nasengine.graph.builder import make_operation
from nasengine.operations.convolution import Convolution


def make(size: int, kernel: int, dilation: int, stride: int) -> Convolution:
    padding = dilation * (kernel - 1) // 2
    options = {"channels": 6, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "groups": 6}
    torch.manual_seed(0)
    return Convolution(make_operation("conv", ((6, size, size),), tuple(options.items()))).double()


@given(
    size=st.integers(1, 12), kernel=st.sampled_from([1, 3, 5, 7]), dilation=st.integers(1, 3), stride=st.integers(1, 2)
)
def test_values_and_gradients_are_torchs(size, kernel, dilation, stride):
    conv = make(size, kernel, dilation, stride)
    image = torch.randn(2, 6, size, size, dtype=torch.double, requires_grad=True)
    ours, torchs = conv(image), nn.Conv2d.forward(conv, image)
    torch.testing.assert_close(ours, torchs)
    weights = torch.randn_like(torchs)
    mine = torch.autograd.grad((ours * weights).sum(), [image, conv.weight])
    theirs = torch.autograd.grad((torchs * weights).sum(), [image, conv.weight])
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(
    ("size", "kernel", "dilation", "cut"), [(2, 5, 1, 1), (2, 3, 2, 1), (4, 5, 2, 1), (8, 5, 2, 0)]
)
def test_taps_that_meet_only_padding_are_cut(size, kernel, dilation, cut):
    assert make(size, kernel, dilation, 1).cropped == (cut, cut)


def test_strided_pointwise_convolutions_survive_training_in_channels_last():
    """The plain convolution corrupts memory here with two threads: torch 2.13.0, oneDNN, 8 channels, 9 images."""
    options = (("channels", 4), ("kernel", 1), ("stride", 2))
    conv = Convolution(make_operation("conv", ((8, 32, 32),), options))
    for size in (32, 30):
        image = torch.randn(9, 8, size, size).contiguous(memory_format=torch.channels_last)
        for _ in range(20):
            conv(image).square().sum().backward()
        torch.testing.assert_close(conv(image), nn.Conv2d.forward(conv, image))
    assert torch.isfinite(conv.weight.grad).all()


def test_images_of_another_size_take_the_plain_way():
    conv = make(2, 5, 1, 1)
    image = torch.randn(1, 6, 9, 9, dtype=torch.double)
    assert torch.equal(conv(image), nn.Conv2d.forward(conv, image))
