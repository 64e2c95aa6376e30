"""Computing each surrounding once against computing every node."""

import random

import pytest
import torch

from predictors.gennape.encoder import KGNN, EncoderConfig, GraphEncoder
from predictors.gennape.message_plan import Level, MessagePlan
from predictors.graph_batch import GraphBatch
from predictors.operation_features import kind_indices, operation_features
from search_spaces.nasbench101 import NASBENCH101
from search_spaces.nasbench_macro import NASBENCH_MACRO


@pytest.fixture(scope="module")
def batch() -> GraphBatch:
    rng = random.Random(0)
    spaces = (NASBENCH101, NASBENCH_MACRO, NASBENCH_MACRO)
    return GraphBatch.of([space.to_graph(space.sample(rng), space.defaults) for space in spaces])


def plan_of_all_nodes(batch: GraphBatch, rounds: int) -> MessagePlan:
    """Every node for itself, in every layer."""
    operations = [batch.operations[place] for place in batch.operation_index]
    edges = torch.stack([torch.from_numpy(batch.sources), torch.from_numpy(batch.targets)])
    level = Level(torch.arange(batch.num_nodes), edges, edges.flip(0))
    return MessagePlan(
        torch.from_numpy(kind_indices(operations)), torch.from_numpy(operation_features(operations)),
        (level,) * rounds, torch.from_numpy(batch.graph_index), torch.arange(batch.num_nodes),
        torch.ones(batch.num_nodes), len(batch),
    )  # fmt: skip


@pytest.mark.parametrize("config", [EncoderConfig(), KGNN])
def test_embeddings_are_those_of_all_nodes(batch, config):
    encoder = GraphEncoder(config).eval()
    with torch.no_grad():
        shared = encoder(MessagePlan.of(batch, config.rounds, backward=config.backward))
        every = encoder(plan_of_all_nodes(batch, config.rounds))
    torch.testing.assert_close(shared, every, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(shared[0], shared[1])


def test_little_has_to_be_computed():
    rng = random.Random(0)
    graphs = [NASBENCH_MACRO.to_graph(NASBENCH_MACRO.sample(rng), NASBENCH_MACRO.defaults) for _ in range(30)]
    batch = GraphBatch.of(graphs)
    plan = MessagePlan.of(batch, 3)
    sizes = [len(level.previous) for level in plan.levels]
    assert sizes == sorted(sizes)
    assert sizes[-1] < batch.num_nodes / 3
    assert float(plan.counts.sum()) == batch.num_nodes


def test_standardised_embeddings_have_mean_zero_and_deviation_one(batch):
    encoder = GraphEncoder(EncoderConfig()).eval()
    with torch.no_grad():
        for _ in range(2):  # twice is as good as once
            encoder.standardise(encoder(MessagePlan.of(batch, 3)))
            found = encoder(MessagePlan.of(batch, 3))
            torch.testing.assert_close(found.mean(0), torch.zeros(128), atol=1e-3, rtol=0)
            torch.testing.assert_close(found.std(0), torch.ones(128), atol=1e-3, rtol=0)
