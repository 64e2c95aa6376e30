"""AZ-NAS: four proxies that complement one another (Lee and Ham, 2024, arXiv 2403.19232).

``rank_sum`` over the four, on a pool of networks, is the paper's score.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasengine.errors import ConfigError
from nasengine.randomness import seeded_generator
from predictors.zero_cost.batch import ProxyBatch
from predictors.zero_cost.bottlenecks import BlockTrace
from predictors.zero_cost.layers import normal_weights
from predictors.zero_cost.undisturbed import class_scores, undisturbed

AZ_NAS = ("az_expressivity", "az_progressivity", "az_trainability", "az_complexity")
OFFSET = 1e-6


def az_nas_pass(network: nn.Module, batch: ProxyBatch, names: frozenset[str], seed: int) -> dict[str, float]:
    """The four proxies, on the maps at the ends of the network's blocks (see ``BlockTrace``).

    Expressivity is the sum over blocks of the entropy of the spectrum of the channels' covariance, progressivity the
    smallest gain in entropy from one block to the next, trainability the mean closeness to 1 of the spectral norm of
    the blocks' Jacobians, and complexity the multiply-accumulates of one image. Weights are drawn as by He et al., and
    images are noise of the batch's shape: with real images, whose colours are alike, the entropies tell much less.

    In the paper, blocks that do not change the gradient and networks that do not see the image score minus infinity.
    Here they count like blocks that let no gradient through, about -1e6, and like ones without entropy.

    Raises:
        ConfigError: a network without maps of features at two places.
    """
    generator = seeded_generator(seed, "az_nas")
    weights = {name: parameter.detach() for name, parameter in network.named_parameters()}
    weights |= normal_weights(network, generator, gain=math.sqrt(2))
    images = torch.randn(batch.images.shape, generator=generator).to(batch.images.device).requires_grad_()
    with undisturbed(network, seed), torch.enable_grad(), BlockTrace(images) as trace:
        scores = class_scores(network, images, weights)
    values = {"az_complexity": trace.macs / len(images)}
    if names == {"az_complexity"}:
        return values
    maps = trace.block_ends()
    entropies = [_entropy(found.detach()) for found in maps]
    closeness = [_trainability(start, end, generator) for start, end in pairwise(maps)]
    if not trace.reaches(scores):
        entropies, closeness = [*entropies, 0.0], [*closeness, _closeness_to_one(0.0)]
    if not closeness:
        raise ConfigError(
            f"az_nas: expected a network with maps of features at the ends of at least two blocks, got {len(maps)}; "
            "leave the proxies az_* out"
        )
    values["az_expressivity"] = sum(entropies)
    values["az_progressivity"] = min(after - before for before, after in pairwise(entropies))
    values["az_trainability"] = sum(closeness) / len(closeness)
    return values


def _pixels(images: Tensor) -> Tensor:
    """Channels of each pixel, shape (batch * height * width, channels)."""
    return images.permute(0, 2, 3, 1).flatten(0, 2)


def _entropy(images: Tensor) -> float:
    """Entropy of the eigenvalues of the channels' covariance, as shares of their sum; 0 for constant images."""
    pixels = _pixels(images)
    pixels = pixels - pixels.mean(0)
    values = torch.linalg.eigvalsh(pixels.T @ pixels / len(pixels)).clamp_min(0.0)
    shares = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return float(-(shares * (shares + 1e-8).log()).sum())


def _trainability(start: Tensor, end: Tensor, generator: torch.Generator) -> float:
    """Closeness to 1 of the spectral norm of the mean Jacobian of a block, by random signs sent backwards."""
    if not end.requires_grad:  # the network cuts the gradient
        return _closeness_to_one(0.0)
    signs = torch.randint(2, end.shape, generator=generator).to(end) * 2 - 1
    back = torch.autograd.grad(end, [start], signs, retain_graph=True, allow_unused=True, materialize_grads=True)[0]
    if torch.equal(back, signs):
        return _closeness_to_one(0.0)
    stride = max(1, start.shape[2] // end.shape[2])
    height, width = end.shape[2:]
    if stride > 1:
        back = F.pixel_unshuffle(back[:, :, : height * stride, : width * stride], stride)
    if back.shape[2:] != end.shape[2:]:  # blocks that enlarge images, or stretch them
        back = F.interpolate(back, (height, width), mode="area")
    products = _pixels(back).T @ _pixels(signs) / (len(end) * height * width)
    return _closeness_to_one(float(torch.linalg.matrix_norm(products, 2)))


def _closeness_to_one(norm: float) -> float:
    """0 at 1, and less on both sides."""
    return 2 - norm - 1 / (norm + OFFSET)
