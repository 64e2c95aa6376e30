"""Puts the channels that matter most first, so that narrow subnets, which take the first ones, have them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nasengine.network import module_key
from nasengine.supernet.elastic.channel_groups import ChannelGroup, elastic_groups
from nasengine.supernet.elastic.supernet import ElasticSupernet


@torch.no_grad()
def sort_channels(supernet: ElasticSupernet, choice: str) -> int:
    """Sort the channels of which a choice can leave some away; all subnets of full width compute what they did before.

    Cai et al., 2020, arXiv 1908.09791, section 3.3 and figure 5: a channel matters as much as the sum of the absolute
    weights of the layer that reads it. Where several do, the last one counts: those before it, as squeeze and
    excitation, only weigh the channels for it.

    Args:
        supernet: its weights are put into another order.
        choice: one of the space's ``elastic_choices``, such as ``expansion``.

    Returns:
        How many groups of channels were sorted; 0 where the choice narrows nothing.
    """
    groups = elastic_groups(supernet.graph, supernet.corners[choice])
    for group in groups:
        if group.readers:
            weights = importance(_module(supernet, group.readers[-1]))
            _reorder(supernet, group, weights.argsort(descending=True, stable=True))
    return len(groups)


def importance(reader: nn.Module) -> Float[Tensor, " channels"]:
    """Sum of the absolute weights with which a convolution or linear layer reads each channel."""
    weight = reader.get_parameter("weight").abs()
    return weight.flatten(2).sum((0, 2)) if weight.ndim > 2 else weight.sum(0)


def _reorder(supernet: ElasticSupernet, group: ChannelGroup, order: Int[Tensor, " channels"]) -> None:
    for node in group.producers:
        module = _module(supernet, node)
        for value in (*module.parameters(), *module.buffers()):
            if value.ndim:  # not the number of batches
                value.copy_(value[order])
    for node in group.readers:
        weight = _module(supernet, node).get_parameter("weight")
        weight.copy_(weight[:, order])


def _module(supernet: ElasticSupernet, node: int) -> nn.Module:
    return supernet.nodes[module_key(supernet.graph.names[node])]
