"""The graph encoder: a computation graph of any size becomes one vector.

GENNAPE (Mills et al., 2023, arXiv 2211.17226) does not say what its encoder is made of; its group's code uses k-GNN
layers (Morris et al., 2019, arXiv 1810.02244), along edges only. Here messages run both ways, and nodes know stride,
padding, dilation, groups and costs as well. With ``KGNN`` the module is the released baseline, as far as layers, widths
and readout go.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.nn import GraphConv

from predictors.gennape.message_plan import Level, MessagePlan
from predictors.operation_features import KIND_NAMES, NUMBERS


@dataclass(frozen=True)
class EncoderConfig:
    """What an encoder is made of.

    Args:
        width: numbers that describe a node.
        rounds: layers, each of which looks one step further.
        embedding_size: numbers that describe a graph.
        backward: messages also run against the edges.
        residual: layers add to what they got, and are normalised.
        wide_readout: sums and maxima over the nodes as well as means.
        dropout: share of a node's numbers that is dropped in training.
    """

    width: int = 64
    rounds: int = 3
    embedding_size: int = 128
    backward: bool = True
    residual: bool = True
    wide_readout: bool = True
    dropout: float = 0.1


KGNN = EncoderConfig(
    width=32, rounds=6, embedding_size=32, backward=False, residual=False, wide_readout=False, dropout=0.0
)
"""The baseline of the released code: six layers along the edges, tanh, mean over nodes."""

_SUM_SCALE = 1 / 64  # graphs have some hundred nodes; keeps sums in the order of the means


class GraphEncoder(nn.Module):
    """Embeds the graphs of a plan.

    Nodes with equal surroundings share one computation, and in training the numbers that are dropped, too.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.kind = nn.Embedding(len(KIND_NAMES), config.width)
        self.numbers = nn.Linear(len(NUMBERS), config.width)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.rounds))
        readouts = 3 if config.wide_readout else 1
        self.register_buffer("center", torch.zeros(config.embedding_size))
        self.register_buffer("scale", torch.ones(config.embedding_size))
        self.readout = nn.Sequential(
            nn.Linear(readouts * config.width, config.embedding_size),
            nn.LayerNorm(config.embedding_size) if config.residual else nn.Identity(),
        )

    def forward(self, plan: MessagePlan) -> Float[Tensor, "graphs embedding"]:
        """Embeddings of the plan's graphs, in order."""
        states = self.kind(plan.kinds) + self.numbers(plan.numbers)
        for layer, level in zip(self.layers, plan.levels, strict=True):
            states = layer(states, level)
        return (self.readout(self._read(states, plan)) - self.center) / self.scale

    def standardise(self, embeddings: Float[Tensor, "graphs embedding"]) -> None:
        """From now on give embeddings like these mean 0 and deviation 1 in every number."""
        self.center += embeddings.mean(0) * self.scale
        self.scale *= embeddings.std(0).clamp_min(1e-6)

    def _read(self, states: Tensor, plan: MessagePlan) -> Tensor:
        of_pairs = states[plan.surrounding_index]
        zeros = states.new_zeros(plan.num_graphs, states.shape[1])
        sums = zeros.index_add(0, plan.graph_index, of_pairs * plan.counts[:, None])
        sizes = states.new_zeros(plan.num_graphs).index_add(0, plan.graph_index, plan.counts)
        means = sums / sizes[:, None]
        if not self.config.wide_readout:
            return means
        index = plan.graph_index[:, None].expand_as(of_pairs)
        maxima = zeros.scatter_reduce(0, index, of_pairs, "amax", include_self=False)
        return torch.cat([means, sums * _SUM_SCALE, maxima], dim=1)


class _Layer(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.width
        self.from_inputs = GraphConv(width, width, aggr="add")
        self.from_outputs = GraphConv(width, width, aggr="add") if config.backward else None
        self.norm = nn.LayerNorm(width) if config.residual else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, states: Tensor, level: Level) -> Tensor:
        own = states[level.previous]
        found = self.from_inputs((states, own), level.from_inputs, size=(len(states), len(own)))
        if self.from_outputs is not None:
            found = found + self.from_outputs((states, own), level.from_outputs, size=(len(states), len(own)))
        if self.norm is None:
            return self.dropout(torch.tanh(found))
        return own + self.dropout(nn.functional.gelu(self.norm(found)))
