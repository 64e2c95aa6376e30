"""Adapters of low rank: fine-tune a found network on new data by training few of its numbers, the others frozen."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from nasengine.data.batches import Batch
from nasengine.errors import ConfigError
from nasengine.initialization.adapters.config import AdapterConfig
from nasengine.initialization.adapters.directions import InputDirections, learn_directions
from nasengine.initialization.adapters.factors import largest_rank, principal_factors, random_factors, shared_ranks
from nasengine.initialization.adapters.frozen_copy import (
    adapted_layers,
    check_has_adapters,
    classifiers,
    copied,
    freeze,
    norms,
    plain,
)
from nasengine.initialization.adapters.layers import AdaptedLayer, Layer, block_shape, rank_limit
from nasengine.network import GraphNetwork
from nasengine.randomness import seeded_generator


@dataclass(frozen=True)
class Adaptation:
    """A network with adapters, and what was decided.

    Args:
        network: a copy of what was given; trains as every network does.
        ranks: of the adapters, by layer.
        skipped: layers without one, and why.
        explained_variance: with ``eva``, share of a layer's squared inputs along each direction that it could use.
        num_inputs: with ``eva``, inputs that were looked at until the directions of a layer had settled.
    """

    network: GraphNetwork
    ranks: dict[str, int]
    skipped: dict[str, str]
    explained_variance: dict[str, tuple[float, ...]]
    num_inputs: dict[str, int]


def attach_adapters(
    network: GraphNetwork, config: AdapterConfig, batches: Iterable[Batch] = (), *, seed: int = 0
) -> Adaptation:
    """Copy a network, freeze it and give its layers adapters; it computes what it did, until they are trained.

    Convolutions are adapted as matrices of c_out x (c_in * height * width), each group for itself. Layers whose matrix
    has a side of 1, as depthwise convolutions have, allow no rank below their own and are skipped.

    Args:
        network: stays as it is.
        config: the adapters.
        batches: images of the new data, normalised as for training, for ``eva``; read once, as far as needed.
        seed: of random factors, sampled inputs and new classifiers.

    Raises:
        ConfigError: settings that do not fit the network.
        DataError: ``eva`` finds no images, or activations that are not finite.

    >>> from nasengine.graph import GraphBuilder
    >>> builder = GraphBuilder()
    >>> graph = builder.build(builder.add("linear", builder.input((8,)), name="head", features=6))
    >>> adapted = attach_adapters(GraphNetwork(graph), AdapterConfig(rank=2, initialization="pissa"))
    >>> adapted.ranks, [tuple(parameter.shape) for parameter in adapter_parameters(adapted.network)]
    ({'head': 2}, [(1, 6, 2), (1, 2, 8)])
    """
    _check_plain(network)
    adapted, replaced = copied(network, config.num_classes, seed)
    whole = replaced | (classifiers(adapted.graph) if config.train_classifier else set())
    layers, skipped = _adaptable(adapted, config.layers, whole)
    found = _learned(adapted, layers, batches, config, seed)
    explained = {name: directions.explained_variance for name, directions in found.items()}
    ranks = _ranks(layers, explained, config)
    skipped |= {name: _why_no_rank(explained[name]) for name in layers if name not in ranks}
    _check_any(ranks, skipped)
    freeze(adapted, keep=whole | (norms(adapted) if config.train_norms else set()))
    adapted.replace_modules(
        {name: _adapted(layers[name], rank, found.get(name), config, (seed, name)) for name, rank in ranks.items()}
    )
    return Adaptation(adapted, ranks, skipped, explained, {name: found[name].num_inputs for name in found})


def adapter_parameters(network: GraphNetwork) -> list[nn.Parameter]:
    """What is trained: the factors, and those classifiers and norms that are not frozen."""
    check_has_adapters(network)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def merge_adapters(network: GraphNetwork) -> GraphNetwork:
    """A copy with plain layers of the original kinds that computes the same, nothing frozen; for export and training.

    Raises:
        ConfigError: there are no adapters.
    """
    check_has_adapters(network)
    merged = GraphNetwork(network.graph)
    merged.replace_modules({name: plain(copy.deepcopy(module)) for name, module in network.nodes.items()})
    return merged.requires_grad_(True).train(network.training)


def _adaptable(
    network: GraphNetwork, patterns: Iterable[str], whole: set[str]
) -> tuple[dict[str, Layer], dict[str, str]]:
    """Layers that are asked for and can be adapted; and those that cannot, with reasons."""
    layers = {
        name: module
        for name, module in network.nodes.items()
        if isinstance(module, (nn.Conv2d, nn.Linear)) and name not in whole
    }
    unmatched = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in layers)]
    if unmatched:
        known = ", ".join(list(layers)[:5])
        raise ConfigError(
            [
                f"adapters, layers: expected patterns of frozen layers such as {known}, got {name!r}"
                for name in unmatched
            ]
        )
    asked = {name: layer for name, layer in layers.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}
    skipped = {name: _too_small(layer) for name, layer in asked.items() if rank_limit(layer) == 1}
    return {name: layer for name, layer in asked.items() if name not in skipped}, skipped


def _too_small(layer: Layer) -> str:
    _, outputs, inputs = block_shape(layer)
    return f"its matrix of {outputs} x {inputs} has no lower rank"


def _check_plain(network: GraphNetwork) -> None:
    if adapted_layers(network):
        raise ConfigError("adapters: expected a network without them, got one that has some; merge them first")


def _learned(
    network: GraphNetwork, layers: Mapping[str, Layer], batches: Iterable[Batch], config: AdapterConfig, seed: int
) -> dict[str, InputDirections]:
    """Directions of inputs for ``eva``; other initializations need none."""
    is_needed = config.initialization == "eva" and layers
    return learn_directions(network, layers, batches, config, seed) if is_needed else {}


def _ranks(
    layers: Mapping[str, Layer], explained_variance: Mapping[str, tuple[float, ...]], config: AdapterConfig
) -> dict[str, int]:
    """Of those layers that get an adapter."""
    if config.initialization != "eva":
        return {name: largest_rank(layer, config) for name, layer in layers.items()}
    dealt = shared_ranks(explained_variance, config.rank * len(layers))
    return {name: rank for name, rank in dealt.items() if rank > 0}


def _why_no_rank(explained_variance: tuple[float, ...]) -> str:
    return "other layers have better directions" if explained_variance else "its inputs are never used or 0"


def _check_any(ranks: Mapping[str, int], skipped: Mapping[str, str]) -> None:
    if not ranks:
        why = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise ConfigError(f"adapters, layers: expected at least one layer that can be adapted, got none ({why})")


def _adapted(
    layer: Layer, rank: int, directions: InputDirections | None, config: AdapterConfig, key: tuple[int, str]
) -> AdaptedLayer:
    """A layer with an adapter of this rank; ``key`` is what random factors depend on."""
    if directions is not None:
        groups, outputs, _ = block_shape(layer)
        return AdaptedLayer(layer, (torch.zeros(groups, outputs, rank), directions.vectors[:, :rank]))
    if config.initialization == "pissa":
        return AdaptedLayer(layer, principal_factors(layer, rank), is_part=True)
    return AdaptedLayer(layer, random_factors(layer, rank, seeded_generator("adapter", *key)))
