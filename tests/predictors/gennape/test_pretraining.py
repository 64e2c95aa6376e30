"""Spectra against networkx, the loss against loops, and pretraining that is interrupted."""

import math
import random
from dataclasses import replace

import networkx
import numpy
import pytest
import torch

from nasengine.errors import ConfigError
from predictors.gennape.contrastive import contrastive_loss, soft_targets
from predictors.gennape.encoder import EncoderConfig
from predictors.gennape.pretraining import Pretraining, PretrainingConfig, UnlabelledPool
from predictors.gennape.proxy_targets import proxy_targets
from predictors.gennape.spectrum import laplacian_spectra
from predictors.graph_batch import GraphBatch
from search_spaces.darts import DARTS
from search_spaces.nasbench101 import NASBENCH101
from search_spaces.nasbench_macro import NASBENCH_MACRO

SMALL = EncoderConfig(width=8, rounds=2, embedding_size=16)


def graphs_of(space, count):
    rng = random.Random(0)
    return [space.to_graph(space.sample(rng), space.defaults) for _ in range(count)]


@pytest.mark.parametrize("space", [NASBENCH101, DARTS])  # small enough for a dense matrix, and not
def test_spectra_are_those_of_networkx(space):
    (graph,) = graphs_of(space, 1)
    undirected = networkx.Graph(graph.networkx.to_undirected())
    expected = networkx.normalized_laplacian_spectrum(undirected)
    batch = GraphBatch.of([graph])
    numpy.testing.assert_allclose(laplacian_spectra(batch)[0], numpy.sort(expected)[:21], atol=1e-6)


def test_spectra_of_small_graphs_are_filled_with_zeros():
    graphs = graphs_of(NASBENCH_MACRO, 2)
    found = laplacian_spectra(GraphBatch.of(graphs), num_eigenvalues=500)
    assert found.shape == (2, 500)
    assert (found[:, 200:] == 0).all()


def test_loss_is_the_papers_sum():
    rng = torch.Generator().manual_seed(0)
    first, second = torch.randn(3, 4, generator=rng), torch.randn(3, 4, generator=rng)
    spectra = torch.rand(3, 5, generator=rng)
    views = [row / row.norm() for row in (*first, *second)]
    total = 0.0
    for i in range(6):
        others = [j for j in range(6) if j != i]
        weights = [math.exp(-float((spectra[i % 3] - spectra[j % 3]).norm()) / 0.05) for j in others]
        raised = [math.exp(float(views[i] @ views[j]) / 0.1) for j in others]
        for weight, value in zip(weights, raised, strict=True):
            total -= weight / sum(weights) * math.log(value / sum(raised))
    assert float(contrastive_loss(first, second, spectra)) == pytest.approx(total / 6, rel=1e-4)


def test_a_views_twin_has_the_largest_target():
    targets = soft_targets(torch.tensor([[0.0, 1.0], [0.3, 1.0], [0.0, 2.0]]), 0.05)
    assert targets.argmax(1).tolist() == [3, 4, 5, 0, 1, 2]
    torch.testing.assert_close(targets.sum(1), torch.ones(6))


def test_pretraining_goes_on_where_it_was():
    pool = UnlabelledPool.of([*graphs_of(NASBENCH_MACRO, 12), *graphs_of(NASBENCH101, 12)])
    config = PretrainingConfig(epochs=4, batch_size=8)
    whole = Pretraining(pool, SMALL, config, seed=1)
    losses = []
    for step in range(4):
        torch.manual_seed(step)
        losses.append(whole.run_step(step)["loss"])
    half = Pretraining(pool, SMALL, config, seed=1)
    for step in range(4):
        if step == 2:
            state = half.state()
            half = Pretraining(pool, SMALL, config, seed=1)
            half.load_state(state)
        torch.manual_seed(step)
        half.run_step(step)
    assert losses[-1] < losses[0]
    for name, value in whole.state().tensors.items():
        torch.testing.assert_close(half.state().tensors[name], value, rtol=0, atol=0)


def test_pretraining_stops_early_and_keeps_the_best_encoder():
    pool = UnlabelledPool.of(graphs_of(NASBENCH101, 24))
    config = PretrainingConfig(epochs=40, batch_size=8, learning_rate=0.05, held_out=0.25, patience=2)
    task = Pretraining(pool, SMALL, config, seed=0)
    losses, encoders = [], []
    while len(losses) < task.num_steps:
        losses.append(task.run_step(len(losses))["held_out_loss"])
        encoders.append({name: value.clone() for name, value in task.encoder.state_dict().items()})
        state, task = task.state(), Pretraining(pool, SMALL, config, seed=0)
        task.load_state(state)  # whether to stop survives an interruption
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + config.patience < config.epochs
    for name, value in task.finished_encoder().state_dict().items():
        if name not in ("center", "scale"):  # set when pretraining has ended
            torch.testing.assert_close(value, encoders[best][name], rtol=0, atol=0)


def test_graphs_that_are_held_out_are_not_learned_from():
    pool = UnlabelledPool.of(graphs_of(NASBENCH101, 24))
    config = PretrainingConfig(epochs=1, batch_size=8, held_out=0.25)
    first = Pretraining(pool, SMALL, config, seed=0)
    rows = first._held_out.numpy()
    assert len(rows) == 6
    pool.targets[rows] = 3.0
    second = Pretraining(pool, SMALL, config, seed=0)
    losses = [task.run_step(0) for task in (first, second)]
    assert losses[0]["loss"] == losses[1]["loss"]
    with pytest.raises(ConfigError, match="expected at least 4 graphs, got 3"):
        Pretraining(UnlabelledPool.of(graphs_of(NASBENCH101, 3)), SMALL, config, seed=0)


def test_targets_that_were_not_measured_take_no_part():
    graphs = graphs_of(NASBENCH_MACRO, 6)
    proxies = numpy.full((6, 1), numpy.nan)
    proxies[0], proxies[3] = 1.0, 2.0
    pool = UnlabelledPool.of(graphs, proxies)
    assert numpy.isnan(pool.targets[:, -1]).sum() == 4
    task = Pretraining(pool, SMALL, PretrainingConfig(epochs=1, contrastive_weight=0.0), seed=0)
    assert math.isfinite(task.run_step(0)["loss"])


def test_without_any_loss():
    with pytest.raises(ConfigError, match="expected a contrastive or an auxiliary loss"):
        PretrainingConfig(contrastive_weight=0.0, auxiliary_weight=0.0)


def test_proxies_of_networks_that_cannot_be_built():
    (graph,) = graphs_of(NASBENCH_MACRO, 1)
    operations = tuple(replace(operation, kind="other") if operation.kind == "relu" else operation
                       for operation in graph.operations)  # fmt: skip
    broken = replace(graph, operations=operations)
    found = proxy_targets([broken, graph], [0, 1], seed=0)
    assert numpy.isnan(found[0]).all()
    assert not numpy.isnan(found[1]).any()
    with pytest.raises(ConfigError, match="expected networks that can be measured, got none; the last: "):
        proxy_targets([broken], [0], seed=0)
