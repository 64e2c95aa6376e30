"""A convolution that computes less where parts of its kernel cannot matter, with equal results up to rounding."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasengine.graph.computation_graph import Operation


class Convolution(nn.Conv2d):
    """torch's convolution with three exact short cuts for a known image size.

    Taps of the kernel that only ever meet padding are left out: small images need small kernels. Dilated depthwise
    convolutions of stride 1, slow on CPUs, run as undilated ones on rearranged pixels ("space to batch"). Strided 1x1
    convolutions pick their pixels first: oneDNN, as torch 2.13.0 has it, writes outside its buffers in the backward
    pass of such convolutions of up to 8 channels (channels last, two threads, an odd number of images). Images of
    another size, and networks that are being exported, take the plain convolution.

    Args:
        operation: a ``conv`` node.
    """

    def __init__(self, operation: Operation) -> None:
        super().__init__(
            operation.input_shapes[0][0], operation.output_shape[0], operation.kernel,
            stride=operation.stride, padding=operation.padding, dilation=operation.dilation,
            groups=operation.groups, bias=operation.bias,
        )  # fmt: skip
        self.image_size = tuple(operation.input_shapes[0][1:])
        self.cropped = tuple(_unused_taps(operation, axis) for axis in (0, 1))
        self.is_strided_pointwise = operation.kernel == (1, 1) and operation.padding == (0, 0) and max(self.stride) > 1
        self._convolve = self._plan(operation)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve images of shape (batch, channels, height, width)."""
        known = tuple(x.shape[2:]) == self.image_size or self.is_strided_pointwise
        if not known or torch.compiler.is_exporting():
            return super().forward(x)
        rows, columns = self.cropped
        weight = self.weight
        if rows or columns:
            weight = weight[:, :, rows : weight.shape[2] - rows, columns : weight.shape[3] - columns]
        return self._convolve(x, weight, self.bias)

    def _plan(self, operation: Operation) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
        stride, dilation, groups = operation.stride, operation.dilation, operation.groups
        padding = tuple(
            pad - cut * step for pad, cut, step in zip(operation.padding, self.cropped, dilation, strict=True)
        )
        remaining = [size - 2 * cut for size, cut in zip(operation.kernel, self.cropped, strict=True)]
        if remaining == [1, 1] and padding == (0, 0):
            rows, columns = stride
            return lambda x, weight, bias: F.conv2d(x[:, :, ::rows, ::columns], weight, bias, groups=groups)
        step = dilation[0]
        rearranged = (
            dilation == (step, step) and step > 1 and stride == (1, 1) and groups > 1 and max(remaining) > 1
            and all(size % step == 0 for size in self.image_size)
            and all(pad % step == 0 for pad in padding)
        )  # fmt: skip
        if not rearranged:
            return lambda x, weight, bias: F.conv2d(x, weight, bias, stride, padding, dilation, groups)
        inner = tuple(pad // step for pad in padding)
        return lambda x, weight, bias: _batch_to_space(
            F.conv2d(_space_to_batch(x, step), weight, bias, 1, inner, 1, groups), step
        )


def _unused_taps(operation: Operation, axis: int) -> int:
    """Rows (or columns) on either side of the kernel that meet nothing but padding."""
    size, outputs = operation.input_shapes[0][1 + axis], operation.output_shape[1 + axis]
    kernel, stride = operation.kernel[axis], operation.stride[axis]
    padding, dilation = operation.padding[axis], operation.dilation[axis]

    def used(tap: int) -> bool:
        return any(0 <= place * stride + tap * dilation - padding < size for place in range(outputs))

    cut = 0
    while 2 * (cut + 1) < kernel and not used(cut) and not used(kernel - 1 - cut):
        cut += 1
    return cut


def _space_to_batch(x: Tensor, step: int) -> Tensor:
    batch, channels, height, width = x.shape
    tiles = x.reshape(batch, channels, height // step, step, width // step, step)
    return tiles.permute(3, 5, 0, 1, 2, 4).reshape(step * step * batch, channels, height // step, width // step)


def _batch_to_space(x: Tensor, step: int) -> Tensor:
    count, channels, height, width = x.shape
    batch = count // (step * step)
    tiles = x.reshape(step, step, batch, channels, height, width).permute(2, 3, 4, 0, 5, 1)
    return tiles.reshape(batch, channels, height * step, width * step)
