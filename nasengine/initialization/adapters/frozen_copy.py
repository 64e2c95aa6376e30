"""Copies of networks, partly frozen, and back."""

import copy
from dataclasses import replace

import torch
from torch import nn

from nasengine.errors import ConfigError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.initialization.adapters.layers import AdaptedLayer, FrozenNorm
from nasengine.network import GraphNetwork, module_key
from nasengine.randomness import seed_of


def copied(network: GraphNetwork, num_classes: int | None, seed: int) -> tuple[GraphNetwork, set[str]]:
    """A copy with as many classes, and the names of the classifiers that are new."""
    graph, replaced = network.graph, set[str]()
    if num_classes is not None:
        operations = list(graph.operations)
        for output in _classifier_nodes(graph):
            shape = operations[output].output_shape
            if shape[-1] != num_classes:
                operations[output] = replace(operations[output], output_shape=(*shape[:-1], num_classes))
                replaced.add(module_key(graph.names[output]))
        graph = ComputationGraph(tuple(operations), graph.inputs, graph.outputs, graph.names)
        graph.check()
    result = GraphNetwork(graph, seed_of(seed, "classifier"))
    result.replace_modules(
        {name: copy.deepcopy(module) for name, module in network.nodes.items() if name not in replaced}
    )
    like = next(network.parameters(), torch.empty(0))
    return result.to(like.device, like.dtype).train(network.training), replaced


def _classifier_nodes(graph: ComputationGraph) -> tuple[int, ...]:
    for output in graph.outputs:
        if graph.operations[output].kind != "linear":
            raise ConfigError(
                f"adapters, classifier: expected a network whose outputs are linear layers, got "
                f"{graph.operations[output].kind} {graph.names[output]}; leave num_classes and train_classifier out"
            )
    return graph.outputs


def classifiers(graph: ComputationGraph) -> set[str]:
    """Names of the linear layers that are the outputs.

    Raises:
        ConfigError: an output is something else.
    """
    return {module_key(graph.names[output]) for output in _classifier_nodes(graph)}


def norms(network: GraphNetwork) -> set[str]:
    """Names of the norms."""
    return {name for name, module in network.nodes.items() if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm))}


def freeze(network: GraphNetwork, keep: set[str]) -> None:
    """Freeze all modules but some; frozen batch norms stay in eval mode."""
    network.requires_grad_(False)
    frozen = {}
    for name, module in network.nodes.items():
        if name in keep:
            module.requires_grad_(True)
        elif isinstance(module, nn.BatchNorm2d):
            frozen[name] = FrozenNorm(module)
    network.replace_modules(frozen)


def adapted_layers(network: GraphNetwork) -> list[str]:
    """Names of the layers that have an adapter."""
    return [name for name, module in network.nodes.items() if isinstance(module, AdaptedLayer)]


def check_has_adapters(network: GraphNetwork) -> None:
    """Raise ConfigError where no layer has an adapter."""
    if not adapted_layers(network):
        raise ConfigError("adapters: expected a network that has some, got one without; attach them first")


def plain(module: nn.Module) -> nn.Module:
    """The layer inside an adapter or frozen norm, which must not be used any more."""
    if isinstance(module, AdaptedLayer):
        return module.merged()
    return module.layer if isinstance(module, FrozenNorm) else module
