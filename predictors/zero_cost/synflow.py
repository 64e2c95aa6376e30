"""Synaptic flow: how much of a signal gets through a network of absolute weights (Tanaka et al., 2020, 2006.05467)."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from predictors.zero_cost.batch import ProxyBatch
from predictors.zero_cost.layers import Norms, layer_weights
from predictors.zero_cost.undisturbed import class_scores, undisturbed


def synflow_pass(network: nn.Module, batch: ProxyBatch, names: frozenset[str], seed: int) -> dict[str, float]:
    """Logarithm of 1 + the sum over weights of |weight x dR/dweight|; R is the sum of the scores of an image of ones.

    As in Abdelfattah et al., 2021 (2101.08134), all parameters are replaced by their absolute values, normalisation is
    left out, and the sum is over convolutions and linear layers. It grows by a factor with each layer and soon leaves
    float32, so it is computed in float64 where that happens, and its logarithm, which ranks alike, is returned.
    """
    flow = 0.0
    with undisturbed(network, seed, training=False), without_norms(network):
        for dtype in (torch.float32, torch.float64):
            flow = _flow(network, torch.ones_like(batch.images[:1], dtype=dtype))
            if math.isfinite(flow) and flow > 0:
                break
    return {"synflow": math.log1p(flow)}


def _flow(network: nn.Module, ones: Tensor) -> float:
    counted = list(layer_weights(network))
    weights = {name: value.detach().abs().to(ones.dtype) for name, value in network.named_parameters()}
    leaves = [weights[name].requires_grad_() for name in counted]
    with torch.enable_grad():
        total = class_scores(network, ones, weights).sum()
    gradients = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
    products = zip(leaves, gradients, strict=True)
    return float(torch.stack([(weight.detach() * gradient).abs().sum() for weight, gradient in products]).sum())


@contextmanager
def without_norms(network: nn.Module) -> Iterator[None]:
    """Make normalisation layers hand on their input."""
    norms = [module for module in network.modules() if isinstance(module, Norms)]
    handles = [norm.register_forward_hook(_input_of) for norm in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _input_of(module: Any, inputs: tuple[Tensor, ...], output: Any) -> Tensor:
    return inputs[0]
