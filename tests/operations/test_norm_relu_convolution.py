"""Batch norm, ReLU and convolution as one: the same values, gradients and statistics."""

import copy

import pytest
import torch
import torch.nn.functional as F

from nasengine.graph.builder import make_operation
from nasengine.operations import norm_relu_convolution
from nasengine.operations.convolution import Convolution
from nasengine.operations.norm_relu_convolution import NormReluConvolution


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (3, 2)])
def test_values_gradients_and_statistics_are_those_of_the_three(monkeypatch, kernel, stride):
    monkeypatch.setattr(norm_relu_convolution, "SMALLEST_SIZE", 0)
    options = {"channels": 6, "kernel": kernel, "stride": stride, "padding": kernel // 2, "groups": 6}
    torch.manual_seed(0)
    conv = Convolution(make_operation("conv", ((6, 8, 8),), tuple(options.items()))).double()
    norm = torch.nn.BatchNorm2d(6, affine=False).double()
    twin = copy.deepcopy(norm)
    x = (2 * torch.randn(4, 6, 8, 8, dtype=torch.double) + 1).requires_grad_()
    ours, plain = NormReluConvolution(norm, conv)(x), conv(F.relu(twin(x)))
    assert type(ours.grad_fn).__name__ == "_NormReluConvolutionBackward"
    torch.testing.assert_close(ours, plain)
    direction = torch.randn_like(plain)
    mine = torch.autograd.grad((ours * direction).sum(), [x, conv.weight])
    theirs = torch.autograd.grad((plain * direction).sum(), [x, conv.weight])
    torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(norm.running_mean, twin.running_mean)
    torch.testing.assert_close(norm.running_var, twin.running_var)


def test_small_batches_and_evaluation_take_the_plain_way():
    options = {"channels": 2, "kernel": 3, "padding": 1, "groups": 2}
    conv = Convolution(make_operation("conv", ((2, 4, 4),), tuple(options.items())))
    norm = torch.nn.BatchNorm2d(2, affine=False).eval()
    x = torch.randn(3, 2, 4, 4)
    assert torch.equal(NormReluConvolution(norm, conv)(x), conv(F.relu(norm(x))))
