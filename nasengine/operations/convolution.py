"""A convolution that computes less where parts of its kernel cannot matter, with equal results up to rounding."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nasengine.graph.computation_graph import Operation


class Convolution(nn.Conv2d):
    """torch's convolution with four exact short cuts for a known image size.

    Taps of the kernel that only ever meet padding are left out: small images need small kernels. Dilated depthwise
    convolutions of stride 1, slow on CPUs, run as undilated ones on rearranged pixels ("space to batch"). 1x1
    convolutions are matrix products of pixels, which lie together in the channels-last layout; strided ones pick their
    pixels first: oneDNN, as torch 2.13.0 has it, writes outside its buffers in the backward pass of such convolutions
    of up to 8 channels (channels last, two threads, an odd number of images). Images of another size, and networks
    that are being exported, take the plain convolution.

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
        self._plan(operation)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve images of shape (batch, channels, height, width)."""
        if not self._is_known(x) or torch.compiler.is_exporting():
            return super().forward(x)
        return self._short(x, self.used_weight(), self.bias, 1)

    def repeated(self, x: Tensor, weight: Tensor, bias: Tensor | None, times: int) -> Tensor:
        """The same on images that lie side by side in the channels, each with a copy of the weights of its own.

        Args:
            x: (batch, times * channels, height, width).
            weight: equal copies, one after the other along the first axis; each gets the gradient of its images.
            bias: copies likewise; None where the convolution has none.
            times: how many there are.
        """
        if not self._is_known(x):
            return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups * times)
        return self._short(x, self._used(weight), bias, times)

    def _short(self, x: Tensor, weight: Tensor, bias: Tensor | None, times: int) -> Tensor:
        if self._pixel_step > 1:
            x = x[:, :, :: self.stride[0], :: self.stride[1]]
        if self._is_product:
            return _product(x.permute(0, 2, 3, 1), weight.flatten(1), bias, times).permute(0, 3, 1, 2)
        if self._step:
            x = _rearranged(x, self._step)
        y = F.conv2d(x, weight, bias, *self.settings[:3], self.settings[3] * times)
        return _batch_to_space(y, self._step) if self._step else y

    def used_weight(self) -> Tensor:
        """The kernel without the taps that are left out."""
        return self._used(self.weight)

    def _used(self, weight: Tensor) -> Tensor:
        rows, columns = self.cropped
        if not (rows or columns):
            return weight
        return weight[:, :, rows : weight.shape[2] - rows, columns : weight.shape[3] - columns]

    @property
    def is_direct(self) -> bool:
        """Whether images of the known size go through one plain convolution with ``used_weight`` and ``settings``."""
        return not self._step and self._pixel_step == 1 and not self._is_product and self.bias is None

    def _is_known(self, x: Tensor) -> bool:
        return tuple(x.shape[2:]) == self.image_size or self.is_strided_pointwise

    def _plan(self, operation: Operation) -> None:
        """Decide on the short cuts: ``_step`` rearranges pixels, ``_pixel_step`` picks them."""
        stride, dilation, groups = operation.stride, operation.dilation, operation.groups
        padding = tuple(
            pad - cut * step for pad, cut, step in zip(operation.padding, self.cropped, dilation, strict=True)
        )
        remaining = [size - 2 * cut for size, cut in zip(operation.kernel, self.cropped, strict=True)]
        self.settings = (stride, padding, dilation, groups)
        self._step, self._pixel_step = 0, 1
        self._is_product = remaining == [1, 1] and padding == (0, 0) and groups == 1
        if remaining == [1, 1] and padding == (0, 0):
            self._pixel_step, self.settings = max(stride), ((1, 1), padding, (1, 1), groups)
            return
        step = dilation[0]
        rearranged = (
            dilation == (step, step) and step > 1 and stride == (1, 1) and groups > 1 and max(remaining) > 1
            and all(size % step == 0 for size in self.image_size)
            and all(pad % step == 0 for pad in padding)
        )  # fmt: skip
        if rearranged:
            self._step, self.settings = step, (stride, tuple(pad // step for pad in padding), (1, 1), groups)


def _product(pixels: Tensor, weight: Tensor, bias: Tensor | None, times: int) -> Tensor:
    """Matrix products of the last axis, which holds ``times`` inputs for as many copies of one matrix."""
    if times == 1:
        return F.linear(pixels, weight, bias)
    y = _CopiedProduct.apply(pixels.unflatten(-1, (times, -1)), weight.unflatten(0, (times, -1))).flatten(-2)
    return y if bias is None else y + bias


class _CopiedProduct(torch.autograd.Function):
    """Products of inputs with copies of one matrix: one product forwards and back, and each copy's own gradient."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, copies: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, copies)
        return F.linear(inputs, copies[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        inputs, copies = ctx.saved_tensors
        to_copies = None
        if ctx.needs_input_grad[1]:
            rows, gradients = inputs.flatten(0, -3), gradient.flatten(0, -3)
            to_copies = torch.bmm(gradients.permute(1, 2, 0), rows.transpose(0, 1))
        return gradient @ copies[0], to_copies


def _unused_taps(operation: Operation, axis: int) -> int:
    """Rows (or columns) on either side of the kernel that meet nothing but padding."""
    last, cut = operation.kernel[axis] - 1, 0
    while 2 * (cut + 1) <= last and not any(_meets_pixels(operation, axis, tap) for tap in (cut, last - cut)):
        cut += 1
    return cut


def _meets_pixels(operation: Operation, axis: int, tap: int) -> bool:
    """Whether a row (or column) of the kernel lies on the image, not on its padding, for any output."""
    size, outputs = operation.input_shapes[0][1 + axis], operation.output_shape[1 + axis]
    first, stride = tap * operation.dilation[axis] - operation.padding[axis], operation.stride[axis]
    return any(0 <= first + place * stride < size for place in range(outputs))


def _rearranged(x: Tensor, step: int) -> Tensor:
    """``_space_to_batch``, kept with the tensor: in a supernet many convolutions read the same one."""
    kept: dict[int, Tensor] | None = getattr(x, "_rearranged_pixels", None)
    if kept is None:
        kept = {}
        x._rearranged_pixels = kept  # type: ignore[attr-defined]
    if step not in kept or (torch.is_grad_enabled() and x.requires_grad and not kept[step].requires_grad):
        kept[step] = _space_to_batch(x, step)
    return kept[step]


def _space_to_batch(x: Tensor, step: int) -> Tensor:
    """Pixels of equal phase as images of their own; memory stays in the channels-last layout."""
    batch, channels, height, width = x.shape
    tiles = x.permute(0, 2, 3, 1).reshape(batch, height // step, step, width // step, step, channels)
    tiles = tiles.permute(2, 4, 0, 1, 3, 5).reshape(step * step * batch, height // step, width // step, channels)
    return tiles.permute(0, 3, 1, 2)


def _batch_to_space(x: Tensor, step: int) -> Tensor:
    count, channels, height, width = x.shape
    batch = count // (step * step)
    tiles = x.permute(0, 2, 3, 1).reshape(step, step, batch, height, width, channels).permute(2, 3, 0, 4, 1, 5)
    return tiles.reshape(batch, height * step, width * step, channels).permute(0, 3, 1, 2)
