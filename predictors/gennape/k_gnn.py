"""The k-GNN member: a graph network trained from labels alone, GENNAPE's baseline.

Morris et al., 2019, arXiv 1810.02244, with layers, widths and readout of the released code of Mills et al., 2023 (six
layers along the edges, tanh, mean over nodes, then four linear layers). Nodes have the features of all our predictors.
"""

from collections.abc import Sequence

import numpy
import torch
from torch import Tensor, nn

from nasengine.graph import ComputationGraph
from predictors.gennape.encoder import KGNN, GraphEncoder
from predictors.gennape.message_plan import MessagePlan
from predictors.graph_batch import GraphBatch
from predictors.predictor_batch import predictor_batch

CHUNK = 500


class KGNNPredictor(nn.Module):
    """Maps the graphs of a plan to scores."""

    def __init__(self) -> None:
        super().__init__()
        width = KGNN.embedding_size
        self.encoder = GraphEncoder(KGNN)
        self.head = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 1)
        )

    def forward(self, plan: MessagePlan) -> Tensor:
        """Scores, (num_graphs,)."""
        return self.head(self.encoder(plan)).squeeze(1)


def train_k_gnn(
    graphs: Sequence[ComputationGraph],
    targets: numpy.ndarray,
    *,
    epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> KGNNPredictor:
    """Fit squared errors of standardised targets with Adam.

    The released code makes 40 epochs in batches of 32 at a rate of 1e-4; fewer, larger steps reach the same loss here.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = KGNNPredictor()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    wanted = torch.from_numpy(targets).float()
    for _ in range(epochs):
        for rows in torch.randperm(len(graphs), generator=generator).split(batch_size):
            loss = nn.functional.mse_loss(model(plan_of([graphs[int(row)] for row in rows])), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
    return model.eval()


def plan_of(graphs: Sequence[ComputationGraph]) -> MessagePlan:
    """What the k-GNN has to compute for some graphs."""
    return MessagePlan.of(predictor_batch(graphs), KGNN.rounds, backward=KGNN.backward)


def k_gnn_scores(model: KGNNPredictor, batch: GraphBatch) -> numpy.ndarray:
    """Scores of a batch, (num_graphs,)."""
    with torch.no_grad():
        return model(MessagePlan.of(batch, KGNN.rounds, backward=KGNN.backward)).numpy()
