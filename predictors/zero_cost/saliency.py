"""Proxies of the loss gradient of each layer, as Abdelfattah et al., 2021 (arXiv 2101.08134) sum them up.

Layers are convolutions and linear layers; the loss is the mean cross-entropy of the batch.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from predictors.zero_cost.layers import WeightLayer


def norm_sum(tensors: Sequence[Tensor]) -> float:
    """Sum of the Euclidean norms: ``grad_norm`` of gradients, ``l2_norm`` of weights.

    >>> norm_sum([torch.tensor([3.0, 4.0]), torch.tensor([1.0])])
    6.0
    """
    return float(torch.stack([tensor.norm() for tensor in tensors]).sum())


def snip_score(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> float:
    """Sum of |weight x gradient|: what the loss would change if weights were cut (Lee et al., 2019, arXiv 1810.02340).

    >>> snip_score([torch.tensor([1.0, -2.0])], [torch.tensor([3.0, 1.0])])
    5.0
    """
    pairs = zip(weights, gradients, strict=True)
    return float(torch.stack([(weight * gradient).abs().sum() for weight, gradient in pairs]).sum())


class FisherInformation:
    """What the loss would change if channels were cut (Theis et al., 2018, arXiv 1801.05787; Turner et al., 2020).

    For channel c of a layer's output a with gradient g, over images n and places p, it is
    ``F_c = mean_n (sum_p a_ncp g_ncp)^2 / 2``. The proxy counts it once for every weight of the channel.

    Args:
        network: its layers are watched while it runs inside ``watching``.
    """

    def __init__(self, network: nn.Module) -> None:
        self._layers = [module for module in network.modules() if isinstance(module, WeightLayer)]
        self._terms: list[Tensor] = []
        self._is_open = True

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Remember what the layers answer, for the gradient that comes back later."""
        handles = [layer.register_forward_hook(self._after_layer) for layer in self._layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _after_layer(self, layer: Any, inputs: Any, output: Tensor) -> Tensor | None:
        if not output.requires_grad:
            return None
        channel = output.ndim - 1 if isinstance(layer, nn.Linear) else 1
        places = [axis for axis in range(1, output.ndim) if axis != channel]
        weights_a_channel = layer.weight[0].numel()
        kept = output.detach()

        def add(gradient: Tensor) -> None:
            if self._is_open:
                products = kept * gradient
                by_channel = products.sum(places) if places else products
                self._terms.append(by_channel.square().mean(0).sum() * (weights_a_channel / 2))

        output.register_hook(add)
        return output.clone()  # the network may overwrite its copy, as ReLUs in place do

    def score(self) -> float:
        """Sum over the channels of all layers that a gradient reached; later gradients do not count."""
        self._is_open = False
        return float(torch.stack(self._terms).sum()) if self._terms else 0.0
