"""Batch norm, ReLU and convolution in training, keeping one image less for the backward pass."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nasengine.operations.convolution import Convolution

SMALLEST_SIZE = 200_000
"""Elements of an image batch from which on less memory is worth the time of computing it anew."""


class NormReluConvolution:
    """Computes ``conv(relu(norm(x)))`` in training mode; gradients are those of the three, up to rounding.

    The three by themselves keep the input of the norm and the output of the ReLU. Here the latter is computed anew in
    the backward pass, for little time: a supernet's memory is mostly such images.

    Args:
        norm: without scale and shift, as supernets have them.
        conv: depthwise or any other.
    """

    def __init__(self, norm: nn.BatchNorm2d, conv: Convolution) -> None:
        self.norm, self.conv = norm, conv

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve normalised, rectified images of shape (batch, channels, height, width)."""
        norm, conv = self.norm, self.conv
        recomputes = norm.training and norm.momentum is not None and conv.is_direct and torch.is_grad_enabled()
        if not recomputes or x.numel() < SMALLEST_SIZE or tuple(x.shape[2:]) != conv.image_size:
            return conv(F.relu(norm(x)))
        return _NormReluConvolution.apply(x, conv.used_weight(), norm, conv.settings)


class _NormReluConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, norm: nn.BatchNorm2d, settings: tuple) -> Tensor:
        normed, mean, scale = torch.ops.aten.native_batch_norm(
            x, None, None, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps
        )
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.settings, ctx.eps = settings, norm.eps
        return F.conv2d(normed.relu_(), weight, None, *settings)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        x, weight, mean, scale = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.settings
        # (x - mean) * scale, rectified: what the convolution read.
        active = F.batch_norm(x, mean, scale.pow(-2) - ctx.eps, None, None, False, 0.0, ctx.eps).relu_()
        to_active, to_weight, _ = torch.ops.aten.convolution_backward(
            gradient, active, weight, None, stride, padding, dilation, False, (0, 0), groups,
            (True, ctx.needs_input_grad[1], False),
        )  # fmt: skip
        to_normed = torch.ops.aten.threshold_backward(to_active, active, 0)
        to_x = torch.ops.aten.native_batch_norm_backward(
            to_normed, x, None, None, None, mean, scale, True, ctx.eps, [True, False, False]
        )[0]
        return to_x, to_weight, None, None
