"""A network on several repetitions of a batch at once, which tells the gradients of its weights apart.

Repetitions lie side by side in the channels: image ``i`` has the channels of its first repetition, then those of its
second. Batch norms, poolings and ReLUs then treat them separately as they are, convolutions do so as grouped ones, and
each layer is called once, however many repetitions there are: small networks spend their time on calls.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasengine.errors import ConfigError
from nasengine.network import module_key
from nasengine.operations.convolution import Convolution
from nasengine.supernet.supernet import Supernet

_CHANNEL_BY_CHANNEL = frozenset(
    ("relu", "relu6", "sigmoid", "tanh", "silu", "hard_sigmoid", "hard_swish", "leaky_relu", "gelu", "identity", "add",
     "sub", "mul", "div", "scale", "offset", "max_pool", "avg_pool", "crop", "pad", "flatten")
)  # fmt: skip
"""Kinds without weights that treat every channel alike, wherever it lies."""


class GramMatrix:
    """Dot products of the gradients of all weights under each pair of repetitions, added up weight by weight.

    Args:
        size: repetitions.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._total = torch.zeros(size, size, dtype=torch.float64)

    def add(self, gradients: Tensor) -> None:
        """Gradients of one weight, one repetition after the other along the first axis."""
        rows = gradients.reshape(self._size, -1).double()
        self._total = self._total.to(rows.device) + rows @ rows.T

    def numpy(self) -> numpy.ndarray:
        """The matrix, float64, (size, size)."""
        return self._total.cpu().numpy()


def repeated_functions(
    supernet: Supernet, times: int, gram: GramMatrix, counted: Collection[str]
) -> list[Callable[..., Tensor]]:
    """What to call for each node of a supernet's graph on repetitions of a batch.

    Args:
        supernet: its weights are used and given no gradients.
        times: repetitions.
        gram: gets the gradients of the weights.
        counted: keys of the modules whose weights count.

    Raises:
        ConfigError: a layer with weights is of a kind that cannot be repeated.
    """
    functions: list[Callable[..., Tensor]] = []
    for node, (operation, name) in enumerate(zip(supernet.graph.operations, supernet.graph.names, strict=True)):
        function = supernet.functions[node]
        if isinstance(function, (Convolution, nn.BatchNorm2d, nn.Linear)):
            functions.append(_Layer(function, times, gram if module_key(name) in counted else None))
        elif isinstance(function, nn.Module) and any(True for _ in function.parameters()):
            raise ConfigError(
                f"gradient matching: expected convolutions, batch norms and linear layers, got {operation.kind} {name}"
            )
        elif operation.kind in _CHANNEL_BY_CHANNEL:
            functions.append(function)
        else:
            functions.append(partial(_one_after_the_other, function, times))
    return functions


class _Layer:
    """A layer with weights of its own for each repetition: copies, whose gradients are recorded."""

    def __init__(self, module: Convolution | nn.BatchNorm2d | nn.Linear, times: int, gram: GramMatrix | None) -> None:
        self.module, self.times, self.gram = module, times, gram

    def __call__(self, x: Tensor) -> Tensor:
        module, times = self.module, self.times
        weight, bias = self._copies(module.weight), self._copies(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            return F.batch_norm(x, None, None, weight, bias, training=True, eps=module.eps)
        assert weight is not None
        if isinstance(module, Convolution):
            return module.repeated(x, weight, bias, times)
        y = torch.einsum("bgi,goi->bgo", x.unflatten(1, (times, -1)), weight.unflatten(0, (times, -1)))
        return y.flatten(1) if bias is None else y.flatten(1) + bias

    def _copies(self, weight: Tensor | None) -> Tensor | None:
        if weight is None:
            return None
        if self.gram is None:
            return weight.detach().repeat(self.times, *[1] * (weight.ndim - 1))
        return _Copies.apply(weight, self.times, self.gram)


class _Copies(torch.autograd.Function):
    """Copies of a weight, one after the other; on the way back their gradients are recorded and dropped."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, times: int, gram: GramMatrix) -> Tensor:
        ctx.gram = gram
        return weight.detach().repeat(times, *[1] * (weight.ndim - 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        ctx.gram.add(gradient)
        return None, None, None


def _one_after_the_other(function: Callable[..., Tensor], times: int, *parts: Tensor) -> Tensor:
    """Any other function: repetitions become images of the batch and go back to the channels."""
    y = function(*(part.unflatten(1, (times, -1)).flatten(0, 1) for part in parts))
    return y.unflatten(0, (-1, times)).flatten(1, 2)
