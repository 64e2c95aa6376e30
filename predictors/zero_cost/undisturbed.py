"""Runs a network with other weights and in another mode, and leaves it as it was."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nasengine.errors import ConfigError


@contextmanager
def undisturbed(network: nn.Module, seed: int, training: bool = True) -> Iterator[None]:
    """Put all modules into one mode and torch's own generators on a seed; both are put back afterwards.

    Args:
        network: what is measured.
        seed: of what modules such as dropout draw.
        training: the mode; batch norms use the statistics of the batch in training mode.
    """
    modes = [(module, module.training) for module in network.modules()]
    device = device_of(network)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        try:
            for module, _ in modes:
                module.training = training
            yield
        finally:
            for module, was_training in modes:
                module.training = was_training


def device_of(network: nn.Module) -> torch.device:
    """Where the weights are; the CPU for networks without any."""
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def class_scores(network: nn.Module, images: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    """What the network says of images, shape (batch, classes).

    Running statistics and other buffers are updated in copies. The first output counts where there are several.

    Args:
        network: its own tensors are not touched.
        images: a batch; buffers are taken in the same type.
        weights: used in place of the parameters of these names.

    Raises:
        ConfigError: the network answers with something else than one row of scores for each image.
    """
    buffers = {
        name: buffer.to(images.dtype, copy=True) if buffer.is_floating_point() else buffer.clone()
        for name, buffer in network.named_buffers()
    }
    outputs = functional_call(network, {**buffers, **weights}, (images,))
    scores = outputs[0] if isinstance(outputs, (tuple, list)) else outputs
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(images):
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ConfigError(f"proxies: expected a network that answers with scores of shape (batch, classes), got {got}")
    return scores
