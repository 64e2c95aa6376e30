"""The layers of a network that proxies speak of, and new weights for them."""

import math

import torch
from torch import Tensor, nn

from nasengine.errors import ConfigError

WeightLayer = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
BatchNorms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
Norms = (*BatchNorms, nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


def layer_weights(network: nn.Module) -> dict[str, Tensor]:
    """Weights, without biases, of convolutions and linear layers, by their names in the network.

    Raises:
        ConfigError: there are none.
    """
    weights = {
        f"{name}.weight" if name else "weight": module.weight.detach()
        for name, module in network.named_modules()
        if isinstance(module, WeightLayer)
    }
    if not weights:
        raise ConfigError(
            "proxies: expected a network with convolutions or linear layers, got one without; "
            "such a network cannot be scored by its weights"
        )
    return weights


def normal_weights(network: nn.Module, generator: torch.Generator, gain: float | None) -> dict[str, Tensor]:
    """Normally distributed weights, zero biases, and normalisation that neither scales nor shifts.

    Args:
        network: whose parameters they replace.
        generator: on the CPU.
        gain: None for a standard deviation of 1; otherwise it is ``gain / sqrt(fan_in)``, which keeps the size of
            activations (He et al., 2015, arXiv 1502.01852: sqrt(2) before ReLUs).
    """
    drawn: dict[str, Tensor] = {}
    for prefix, module in network.named_modules():
        if not isinstance(module, (*WeightLayer, *Norms)):
            continue
        for name, parameter in module.named_parameters(prefix, recurse=False):
            new = torch.zeros(parameter.shape)
            if name.endswith("weight") and isinstance(module, WeightLayer):
                std = 1.0 if gain is None else gain / math.sqrt(max(1, parameter[0].numel()))
                new = torch.randn(parameter.shape, generator=generator).mul_(std)
            elif name.endswith("weight"):
                new.fill_(1.0)
            # Like the old ones in memory layout, which decides how fast convolutions are.
            drawn[name] = torch.empty_like(parameter, requires_grad=False).copy_(new)
    return drawn
