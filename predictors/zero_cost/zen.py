"""Zen-score: how strongly features answer to small changes of the image (Lin et al., 2021, arXiv 2102.01063)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nasengine.randomness import seeded_generator
from predictors.zero_cost.batch import ProxyBatch
from predictors.zero_cost.layers import BatchNorms, normal_weights
from predictors.zero_cost.undisturbed import class_scores, device_of, undisturbed

CHANGE = 0.01


def zen_pass(network: nn.Module, batch: ProxyBatch, names: frozenset[str], seed: int) -> dict[str, float]:
    """``log E|f(x) - f(x + 0.01 e)| + sum over batch norms of log sqrt(mean over channels of the variance)``.

    x and e are standard normal images, weights are standard normal, and f are the last features with more than one
    pixel, that is, those before global pooling (the scores, in networks without such). The second term gives back what
    batch norms take from the first. One draw, as in NAS-Bench-Suite-Zero; variances are those of the batch. Factors
    of 0 count as the smallest float, so that cut networks come last with a finite score.
    """
    generator = seeded_generator(seed, "zen")
    weights = normal_weights(network, generator, gain=None)
    shape, device = batch.images.shape, device_of(network)
    images = torch.randn(shape, generator=generator).to(device)
    changed = images + CHANGE * torch.randn(shape, generator=generator).to(device)
    variances: list[Tensor] = []
    with undisturbed(network, seed), torch.no_grad():
        with _batch_variances(network, variances):
            features = last_features(network, images, weights)
        difference = (features - last_features(network, changed, weights)).abs()
    total = difference.flatten(1).sum(1).mean()
    return {"zen": float(_log(total) + sum(_log(variance) / 2 for variance in variances))}


def _log(x: Tensor) -> Tensor:
    return x.double().clamp_min(torch.finfo(torch.float32).tiny).log()


@contextmanager
def _batch_variances(network: nn.Module, variances: list[Tensor]) -> Iterator[None]:
    """Collect the mean variance of the channels that go into each batch norm."""

    def look(module: Any, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0]
        variances.append(x.var([axis for axis in range(x.ndim) if axis != 1], correction=0).mean())

    handles = [module.register_forward_pre_hook(look) for module in network.modules() if isinstance(module, BatchNorms)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def last_features(network: nn.Module, images: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """The last map of features that a network computes, whatever computes it."""
    with _LastMap(len(images)) as found:
        scores = class_scores(network, images, weights)
    return scores if found.value is None else found.value


class _LastMap(TorchDispatchMode):
    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.value: Tensor | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        found = result[0] if isinstance(result, (tuple, list)) and result else result
        # Views are left out: slices of weights may look like images.
        if isinstance(found, Tensor) and not func.is_view and _is_map(found, self.batch_size):
            self.value = found
        return result


def _is_map(x: Tensor, batch_size: int) -> bool:
    """Whether a tensor may hold features of more than one pixel for each image."""
    return x.ndim == 4 and len(x) == batch_size and x.is_floating_point() and x.shape[2] * x.shape[3] > 1
