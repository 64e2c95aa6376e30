"""The factors that adapters start with: at random, or from the weights (PiSSA); and how ranks are shared (EVA)."""

import math
from collections.abc import Mapping, Sequence

import torch

from nasengine.initialization.adapters.config import AdapterConfig
from nasengine.initialization.adapters.layers import Factors, Layer, as_blocks, block_shape, rank_limit


def random_factors(layer: Layer, rank: int, generator: torch.Generator) -> Factors:
    """LoRA (Hu et al., 2022, arXiv 2106.09685): A as linear layers start in torch, B zero."""
    groups, outputs, inputs = block_shape(layer)
    bound = 1 / math.sqrt(inputs)
    a = torch.empty(groups, rank, inputs).uniform_(-bound, bound, generator=generator)
    return torch.zeros(groups, outputs, rank), a


def principal_factors(layer: Layer, rank: int) -> Factors:
    """PiSSA (Meng et al., 2024, arXiv 2404.02948): the top singular triplets of the weight, sqrt(S) on both sides.

    A weight W = U S V^T gives B = U_r sqrt(S_r) and A = sqrt(S_r) V_r^T; a grouped convolution has one for each group.
    """
    u, s, v = torch.linalg.svd(as_blocks(layer).double(), full_matrices=False)
    root = s[:, :rank].sqrt()
    return u[:, :, :rank] * root[:, None, :], root[:, :, None] * v[:, :rank]


def largest_rank(layer: Layer, config: AdapterConfig) -> int:
    """What a layer can get: at most the smaller side of its matrix."""
    spread = config.rho if config.initialization == "eva" else 1.0
    return min(rank_limit(layer), math.floor(spread * config.rank))


def shared_ranks(explained_variance: Mapping[str, Sequence[float]], budget: int) -> dict[str, int]:
    """Give the budget to the directions that explain most, whatever their layer (EVA, section 3.3).

    >>> shared_ranks({"first": (0.5, 0.4, 0.05), "second": (0.9, 0.1)}, budget=3)
    {'first': 2, 'second': 1}
    """
    pooled = [(share, name) for name, shares in explained_variance.items() for share in shares]
    best = sorted(pooled, key=lambda entry: -entry[0])[:budget]
    return {name: sum(entry[1] == name for entry in best) for name in explained_variance}
