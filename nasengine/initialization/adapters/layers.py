"""What stands in the place of a frozen layer while a network is fine-tuned."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

Layer = nn.Conv2d | nn.Linear
Factors = tuple[Float[Tensor, "groups outputs rank"], Float[Tensor, "groups rank inputs"]]
"""B and A: for each group of a layer, two matrices whose product changes its weight."""


def block_shape(layer: Layer) -> tuple[int, int, int]:
    """(groups, outputs of a group, inputs of a group): a layer's weight as one matrix for each group.

    Inputs of a convolution are the values under its kernel: channels of a group times height times width.

    >>> block_shape(nn.Conv2d(4, 6, 3, groups=2))
    (2, 3, 18)
    """
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    return groups, layer.weight.shape[0] // groups, math.prod(layer.weight.shape[1:])


def rank_limit(layer: Layer) -> int:
    """The largest rank that a matrix of this layer can have."""
    return min(block_shape(layer)[1:])


def as_blocks(layer: Layer) -> Float[Tensor, "groups outputs inputs"]:
    """The weight as matrices, without a gradient."""
    return layer.weight.detach().reshape(block_shape(layer))


class AdaptedLayer(nn.Module):
    """A frozen convolution or linear layer whose weight W is changed by a learned product of low rank, W + B A.

    LoRA (Hu et al., 2022, arXiv 2106.09685). The paper adds B (A x) to the output; by linearity the sum is the same,
    and one convolution with the sum of both weights keeps every short cut of the layer. Groups of a convolution have
    factors of their own. There is no factor alpha / r: it is 1.

    Args:
        layer: taken over, frozen.
        factors: B and A at the start.
        is_part: whether B A is a part of the weight already (PiSSA), which then keeps the rest, the residual. What
            was taken out is remembered, so that the adapter can be put on the original weight again.
    """

    initial_b: Tensor | None
    initial_a: Tensor | None

    def __init__(self, layer: Layer, factors: Factors, *, is_part: bool = False) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.b, self.a = (nn.Parameter(factor.detach().to(layer.weight, copy=True)) for factor in factors)
        taken = (self.b.detach().clone(), self.a.detach().clone()) if is_part else (None, None)
        for name, factor in zip(("initial_b", "initial_a"), taken, strict=True):
            self.register_buffer(name, factor)
        if is_part:
            layer.weight.data -= self.change().detach()

    @property
    def rank(self) -> int:
        """Rank of the change, in each group."""
        return self.a.shape[1]

    def change(self) -> Tensor:
        """B A in the shape of the weight; in full precision, whatever the layers around it run in."""
        with torch.autocast(self.a.device.type, enabled=False):
            return (self.b @ self.a).reshape(self.layer.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        """What the layer computes with its changed weight."""
        return functional_call(self.layer, {"weight": self.layer.weight + self.change()}, (x,))

    @torch.no_grad()
    def merged(self) -> Layer:
        """The layer itself, with the change added to its weight; this module must not be used any more."""
        self.layer.weight.data += self.change()
        return self.layer


class FrozenNorm(nn.Module):
    """A batch norm that stays in eval mode: its running statistics are part of what is frozen.

    Args:
        layer: the batch norm, taken over.
    """

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.layer.eval()

    def train(self, mode: bool = True) -> "FrozenNorm":
        """Change the mode of this module alone."""
        self.training = mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Normalise with the running statistics."""
        return self.layer(x)
