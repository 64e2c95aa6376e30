"""Storing adapters without the network that they belong to."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nasengine.errors import ConfigError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.initialization.adapters.frozen_copy import check_has_adapters, copied, freeze
from nasengine.initialization.adapters.layers import AdaptedLayer, FrozenNorm, block_shape
from nasengine.network import GraphNetwork, module_key


def adapter_state(network: GraphNetwork) -> dict[str, Tensor]:
    """Copies of all that differs from the original network, by ``node.tensor``; safetensors can store it.

    Factors as ``a`` and ``b``; of PiSSA also those at the start, since they tell the residual of the original weight.

    Raises:
        ConfigError: there are no adapters.
    """
    check_has_adapters(network)
    state: dict[str, Tensor] = {}
    for name, module in network.nodes.items():
        own = _own_state(module)
        state |= {f"{name}.{tensor}": value.detach().clone().contiguous() for tensor, value in own.items()}
    return state


def load_adapters(network: GraphNetwork, state: Mapping[str, Tensor]) -> GraphNetwork:
    """Put stored adapters on a copy of the network that they were made for.

    Args:
        network: the original one; stays as it is.
        state: of ``adapter_state``. Its shapes tell ranks and classes; norms that it has not are frozen.

    Raises:
        ConfigError: lists what does not fit the network.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        name, _, tensor = key.rpartition(".")
        parts.setdefault(name, {})[tensor] = value
    adapted, _ = copied(network, _stored_classes(network.graph, parts), seed=0)
    faults = [fault for name in parts for fault in _misfits(adapted, name, parts[name])]
    if not any("a" in tensors for tensors in parts.values()):
        faults.append("adapters: expected tensors named a and b of at least one layer, got none")
    if faults:
        raise ConfigError(faults)
    whole = {name for name, tensors in parts.items() if "a" not in tensors}
    for name in whole:
        adapted.nodes[name].load_state_dict(parts[name])
    freeze(adapted, keep=whole)
    adapted.replace_modules(
        {name: _restored(adapted.nodes[name], tensors) for name, tensors in parts.items() if "a" in tensors}
    )
    return adapted


def _own_state(module: nn.Module) -> dict[str, Tensor]:
    """Tensors of a module that training changes, and the start of PiSSA's factors."""
    if isinstance(module, AdaptedLayer):
        return {name: value for name, value in module.state_dict().items() if not name.startswith("layer.")}
    if isinstance(module, FrozenNorm):
        return {}
    is_trained = any(parameter.requires_grad for parameter in module.parameters())
    return module.state_dict() if is_trained or isinstance(module, nn.BatchNorm2d) else {}


def _stored_classes(graph: ComputationGraph, parts: Mapping[str, Mapping[str, Tensor]]) -> int | None:
    for output in graph.outputs:
        weight = parts.get(module_key(graph.names[output]), {}).get("weight")
        if weight is not None and weight.ndim == 2 and graph.operations[output].kind == "linear":
            return len(weight)
    return None


def _misfits(network: GraphNetwork, name: str, tensors: Mapping[str, Tensor]) -> list[str]:
    """What is wrong with the stored tensors of a node."""
    where = f"adapters of {name}"
    if name not in network.nodes:
        return [f"{where}: expected a layer of this network, got a name that it has not"]
    module = network.nodes[name]
    if "a" not in tensors and "b" not in tensors:
        expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    elif isinstance(module, (nn.Conv2d, nn.Linear)):
        groups, outputs, inputs = block_shape(module)
        rank = tensors["a"].shape[1] if "a" in tensors and tensors["a"].ndim == 3 else 1
        expected = {"a": (groups, rank, inputs), "b": (groups, outputs, rank)}
        if len(tensors) > len(expected):
            expected |= {f"initial_{key}": shape for key, shape in expected.items()}
    else:
        return [f"{where}: expected a convolution or linear layer, got {type(module).__name__}"]
    got = {key: tuple(value.shape) for key, value in tensors.items()}
    return [] if got == expected else [f"{where}: expected tensors of shapes {expected}, got {got}"]


def _restored(layer: nn.Module, tensors: Mapping[str, Tensor]) -> AdaptedLayer:
    """A layer with stored factors; PiSSA's first take their start out of the weight."""
    assert isinstance(layer, (nn.Conv2d, nn.Linear))
    is_part = "initial_a" in tensors
    start = ("initial_b", "initial_a") if is_part else ("b", "a")
    adapted = AdaptedLayer(layer, (tensors[start[0]], tensors[start[1]]), is_part=is_part)
    with torch.no_grad():
        adapted.b.copy_(tensors["b"])
        adapted.a.copy_(tensors["a"])
    return adapted
