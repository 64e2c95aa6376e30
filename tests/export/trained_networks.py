"""Networks to export."""

import random

import torch
from torch import Tensor

from nasengine.graph import prune
from nasengine.network import GraphNetwork
from nasengine.testing import small_config


def trained_like(space, images: Tensor) -> GraphNetwork:
    """A network whose batch norms have statistics of their own, as after training."""
    graph = prune(space.to_graph(space.sample(random.Random(3)), small_config(space)))
    network = GraphNetwork(graph, seed=1).train()
    with torch.no_grad():
        for _ in range(3):
            network(images)
    return network.eval()
