"""Primitive operations as torch modules and functions: the one place that says what each kind computes."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasengine.errors import GraphError
from nasengine.graph.computation_graph import Operation
from nasengine.operations.convolution import Convolution


class Affine(nn.Module):
    """Multiplies by, or adds, a learned value that broadcasts over the input.

    It starts as the identity, or away from it by random numbers of the node's ``initial_deviation``.
    """

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self.multiply = operation.kind == "scale"
        self.value = nn.Parameter(torch.empty(operation.attribute("parameter_shape")))
        self.deviation = float(operation.attribute("initial_deviation", 0.0))

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw the value."""
        nn.init.normal_(self.value, float(self.multiply), self.deviation, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.value if self.multiply else x + self.value


class Noise(nn.Module):
    """Standard normal values whatever the input, drawn from torch's own generator; their mean, zero, in eval mode.

    The paper of S4 (Zela et al., 2020) draws them in evaluation too; a network that answers at random can be neither
    compared nor exported.
    """

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self.shape = operation.output_shape

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x.new_zeros(x.shape[0], *self.shape)
        return torch.randn(x.shape[0], *self.shape, dtype=x.dtype).to(x.device)


def _linear(operation: Operation) -> nn.Module:
    return nn.Linear(operation.input_shapes[0][-1], operation.output_shape[-1], bias=operation.bias)


class BatchNorm(nn.BatchNorm2d):
    """torch's batch norm without counting batches where the count is not used: a supernet has hundreds of them."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; running statistics are updated in training."""
        if not self.training or self.momentum is None or torch.compiler.is_exporting():
            return super().forward(x)
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
        )


def _batch_norm(operation: Operation) -> nn.Module:
    return BatchNorm(operation.output_shape[0], affine=bool(operation.attribute("affine", True)))


def _layer_norm(operation: Operation) -> nn.Module:
    shape = operation.attribute("shape_normalized") or operation.output_shape[-1:]
    return nn.LayerNorm(shape, elementwise_affine=bool(operation.attribute("affine", True)))


_MODULES: dict[str, Callable[[Operation], nn.Module]] = {
    "conv": Convolution,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
}


def make_module(operation: Operation) -> nn.Module | None:
    """Module with uninitialised weights for kinds that have weights or statistics; None for the others."""
    if operation.kind in ("scale", "offset"):
        return Affine(operation) if operation.attribute("learned") else None
    if operation.kind == "zero":
        return Noise(operation) if operation.attribute("noise") else None
    factory = _MODULES.get(operation.kind)
    return None if factory is None else factory(operation)


def initialize_(module: nn.Module, generator: torch.Generator) -> None:
    """Draw weights as torch does by default (He et al., 2015, with a = sqrt(5)), but from ``generator``."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
        if module.bias is not None:
            bound = 1 / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
    elif isinstance(module, Affine):
        module.reset_parameters(generator)
    elif isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)):
        module.reset_parameters()


def _zero(operation: Operation) -> Callable[[Tensor], Tensor]:
    shape = operation.output_shape
    if len(shape) != 3:
        return lambda x: x.new_zeros(x.shape[0], *shape)
    return lambda x: _zero_images(x, shape)


def _zero_images(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """In the memory layout of all other images: one tensor in another turns those that it is added to as well."""
    if torch.compiler.is_exporting():
        return x.new_zeros(x.shape[0], *shape)
    channels, height, width = shape
    return x.new_zeros(x.shape[0], height, width, channels).permute(0, 3, 1, 2)


def _pool(operation: Operation) -> Callable[[Tensor], Tensor]:
    ceil = bool(operation.attribute("ceil_mode", False))
    if operation.kind == "max_pool":
        return lambda x: F.max_pool2d(
            x, operation.kernel, operation.stride, operation.padding, operation.dilation, ceil_mode=ceil
        )
    include = bool(operation.attribute("count_include_pad", True))
    return lambda x: F.avg_pool2d(x, operation.kernel, operation.stride, operation.padding, ceil, include)


def _crop(operation: Operation) -> Callable[[Tensor], Tensor]:
    top, left = operation.attribute("offset")
    return lambda x: x[:, :, top:, left:]


def _truncate(operation: Operation) -> Callable[[Tensor], Tensor]:
    channels = operation.output_shape[0]
    return lambda x: x[:, :channels]


def _slice(operation: Operation) -> Callable[[Tensor], Tensor]:
    start, size, step = (int(operation.attribute(name)) for name in ("start", "size", "step"))
    cut = (slice(None),) * (int(operation.attribute("axis")) + 1)
    return lambda x: x[(*cut, slice(start, start + (size - 1) * step + 1, step))]


def _pad(operation: Operation) -> Callable[[Tensor], Tensor]:
    top, bottom, left, right = operation.attribute("pads")
    return lambda x: F.pad(x, (left, right, top, bottom))


def _resize(operation: Operation) -> Callable[[Tensor], Tensor]:
    """Pixels are squares whose centres are kept in proportion; nothing is averaged before."""
    sizes = list(operation.output_shape[1:])
    return lambda x: F.interpolate(x, size=sizes, mode="bilinear", align_corners=False)


def _mean(operation: Operation) -> Callable[[Tensor], Tensor]:
    axes = [axis + 1 for axis in operation.attribute("axes")]
    keep = bool(operation.attribute("keepdim", False))
    return lambda x: x.mean(axes, keepdim=keep)


def _axis_function(operation: Operation) -> Callable[..., Tensor]:
    if operation.kind == "transpose":
        order = (0, *(axis + 1 for axis in operation.attribute("axes")))
        return lambda x: x.permute(order)
    axis = int(operation.attribute("axis", -1))
    axis += 1 if axis >= 0 else 0
    if operation.kind == "concat":
        return lambda *parts: torch.cat(parts, dim=axis)
    return lambda x: F.softmax(x, dim=axis)


def _fixed_affine(operation: Operation) -> Callable[[Tensor], Tensor]:
    if operation.attribute("fixed"):
        raise GraphError(
            f"{operation.kind}: expected a number or a learned value, got a buffer whose values are unknown"
        )
    value = float(operation.attribute("value", 1.0 if operation.kind == "scale" else 0.0))
    return (lambda x: x * value) if operation.kind == "scale" else (lambda x: x + value)


def add(*parts: Tensor) -> Tensor:
    """Sum from left to right."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


_SIMPLE: dict[str, Callable[..., Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "hard_sigmoid": F.hardsigmoid,
    "hard_swish": F.hardswish,
    "identity": lambda x: x,
    "add": add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "matmul": torch.matmul,
    "flatten": lambda x: x.flatten(1),
}

_PARAMETRIC: dict[str, Callable[[Operation], Callable[..., Tensor]]] = {
    "zero": _zero,
    "max_pool": _pool,
    "avg_pool": _pool,
    "crop": _crop,
    "truncate": _truncate,
    "slice": _slice,
    "pad": _pad,
    "resize": _resize,
    "mean": _mean,
    "concat": _axis_function,
    "softmax": _axis_function,
    "transpose": _axis_function,
    "scale": _fixed_affine,
    "offset": _fixed_affine,
    "leaky_relu": lambda operation: lambda x: F.leaky_relu(x, float(operation.attribute("slope", 0.01))),
    "gelu": lambda operation: lambda x: F.gelu(x, approximate=str(operation.attribute("approximate", "none"))),
    "reshape": lambda operation: lambda x: x.reshape(x.shape[0], *operation.output_shape),
}


def make_function(operation: Operation) -> Callable[..., Tensor]:
    """What a kind without weights computes.

    Raises:
        GraphError: nothing is known that computes this kind.
    """
    if operation.kind in _SIMPLE:
        return _SIMPLE[operation.kind]
    if operation.kind in _PARAMETRIC:
        return _PARAMETRIC[operation.kind](operation)
    if operation.kind == "other":
        raise GraphError(
            f"operation {operation.attribute('operator')}: expected one that a network can compute, got one that the "
            "tracer did not know; such graphs can be costed and scored, not built"
        )
    raise GraphError(f"operation kind {operation.kind!r}: expected one that a network can compute")
