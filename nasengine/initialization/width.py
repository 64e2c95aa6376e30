"""Networks of another width: channels that are selected, or copied so that the function stays the same.

Narrower: channels are taken at even distances, as in weight selection (Xu et al., 2024, arXiv 2311.18823). Wider: each
channel is copied, and what reads it is divided by the number of copies (Net2WiderNet; Chen et al., 2016, arXiv
1511.05641), so that the wider network computes the same.

Both are one map, channel ``i`` of ``n`` new ones from channel ``i * m // n`` of ``m`` old ones. It cuts a concatenation
of equal parts as it cuts each part, and groups as it cuts channels, so that all that is added, concatenated or grouped
agrees without being told.
"""

import torch
from torch import Tensor, nn

from nasengine.errors import ConfigError
from nasengine.graph.computation_graph import ComputationGraph, Operation
from nasengine.network import GraphNetwork, module_key
from nasengine.randomness import seeded_generator


def source_channels(num_old: int, num_new: int) -> Tensor:
    """Which old channel each new one comes from, (num_new,).

    >>> source_channels(4, 2).tolist(), source_channels(2, 4).tolist(), source_channels(2, 3).tolist()
    ([0, 2], [0, 0, 1, 1], [0, 0, 1])
    """
    return torch.arange(num_new) * num_old // num_new


def with_width(network: GraphNetwork, graph: ComputationGraph, *, noise: float = 0.0, seed: int = 0) -> GraphNetwork:
    """A network of a graph that differs from the given network's in its channels only, with its weights.

    Where no size shrinks, it computes the same, up to rounding, in eval mode; with layer norms and attention, where
    widths grow by a whole number.

    Args:
        network: trained.
        graph: the same operations under the same names, with other channels.
        noise: copies of a channel are told apart by this much random change, as a share of a weight's deviation;
            without any they get equal gradients and stay equal.
        seed: of that change.

    Raises:
        ConfigError: graphs that differ in more than their channels.
    """
    check_width(network.graph, graph)
    found, factors = GraphNetwork(graph, seed), _query_factors(network.graph, graph)
    generator = seeded_generator("width", seed)
    with torch.no_grad():
        for node, name in enumerate(graph.names):
            key = module_key(name)
            if key not in found.nodes:
                continue
            old, new = network.graph.operations[node], graph.operations[node]
            for label, target in _tensors(found.nodes[key]):
                source = dict(_tensors(network.nodes[key]))[label]
                target.copy_(_resized(source, target.shape, label, (old, new)) * factors.get(node, 1.0))
                if noise and label == "weight" and target.ndim > 1 and target.numel() > source.numel():
                    target += noise * target.std() * torch.randn(target.shape, generator=generator)
    return found.train(network.training)


def _resized(source: Tensor, shape: torch.Size, label: str, operations: tuple[Operation, Operation]) -> Tensor:
    """A tensor of a module along all its axes; what reads copies of a channel is divided by their number."""
    value = source
    for axis, size in enumerate(shape):
        if value.shape[axis] != size:
            value = value.index_select(axis, source_channels(value.shape[axis], size).to(value.device))
    if label == "weight" and operations[0].kind in ("conv", "linear"):
        value = value / _copies(operations, shape)
    return value


def _copies(operations: tuple[Operation, Operation], shape: torch.Size) -> Tensor:
    """How often the channel that an input of a weight reads is there, (1, inputs of a group, 1, ...)."""
    old, new = operations
    axis = 0 if new.kind == "conv" else -1
    num_old, num_new = (operation.input_shapes[0][axis] // operation.groups for operation in operations)
    if num_new <= num_old or old.groups != new.groups:
        return torch.ones(())
    sources = source_channels(num_old, num_new)
    counts = torch.bincount(sources, minlength=num_old)[sources].float()
    return counts.reshape(1, -1, *(1 for _ in shape[2:]))


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *((name, value) for name, value in module.named_buffers() if value.ndim)]


def _query_factors(old: ComputationGraph, new: ComputationGraph) -> dict[int, float]:
    """Factors of linear layers whose outputs enter scores of attention, by node.

    A score is a sum over channels, so it grows with their copies, and its scale shrinks by the root of their number:
    what is left over goes into the queries.
    """
    found = {}
    for node, operation in enumerate(new.operations):
        (product,) = new.inputs[node] if operation.kind == "scale" else (0,)
        if new.operations[product].kind != "matmul":
            continue
        terms = [graph.operations[product].input_shapes[0][-1] for graph in (old, new)]
        scales = [float(graph.operations[node].attribute("value", 1.0)) for graph in (old, new)]
        query = new.inputs[product][0]
        while new.operations[query].kind in ("reshape", "transpose"):
            (query,) = new.inputs[query]
        if new.operations[query].kind == "linear":
            found[query] = scales[0] * terms[0] / (scales[1] * terms[1])
    return found


def check_width(old: ComputationGraph, new: ComputationGraph) -> None:
    """See that networks differ in what ``with_width`` can bridge.

    Raises:
        ConfigError: other operations, or pixels that are listed for the classifier.
    """
    kinds = [[operation.kind for operation in graph.operations] for graph in (old, new)]
    if old.names != new.names or old.inputs != new.inputs or kinds[0] != kinds[1]:
        raise ConfigError(
            "width: expected networks that differ in their channels only, got others; change depth and architecture "
            "in a step of their own"
        )
    flat = [name for name, operation in zip(new.names, new.operations, strict=True)
            if operation.kind == "flatten" and max(operation.input_shapes[0][1:], default=1) > 1]  # fmt: skip
    if flat:
        raise ConfigError(
            f"width: expected pixels to be averaged before the classifier, got {flat[0]}, which lists them"
        )
