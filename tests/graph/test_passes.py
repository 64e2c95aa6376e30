"""Passes leave values unchanged."""

import random

import pytest
import torch

from nasengine.graph import GraphBuilder, canonical, merge_duplicates, prune
from nasengine.network import GraphNetwork
from nasengine.pipeline.exporting import with_weights_of
from nasengine.testing import small_config
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201


@pytest.mark.parametrize("rewrite", [prune, merge_duplicates, canonical])
@pytest.mark.parametrize("space", [DARTS, NASBENCH201], ids=lambda space: space.name)
def test_rewritten_networks_compute_the_same(rewrite, space):
    graph = space.to_graph(space.sample(random.Random(2)), small_config(space))
    network = GraphNetwork(graph, seed=1).eval()
    rewritten = with_weights_of(network, rewrite(graph)).eval()
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rewritten(images), network(images), rtol=1e-5, atol=1e-6)


def test_prune_drops_what_no_output_needs():
    builder = GraphBuilder()
    image = builder.input((3, 8, 8))
    kept = builder.add("relu", builder.add("identity", image, name="same"), name="kept")
    builder.add("conv", image, name="dead", channels=99)
    assert [operation.kind for operation in prune(builder.build(kept)).operations] == ["input", "relu"]


def test_merge_shares_equal_work_but_not_weights():
    builder = GraphBuilder()
    image = builder.input((3, 8, 8))
    relus = [builder.add("relu", image, name=f"relu{i}") for i in range(2)]
    convs = [builder.add("conv", relu, name=f"conv{i}", channels=3) for i, relu in enumerate(relus)]
    merged = merge_duplicates(builder.build(builder.add("add", *convs, name="sum")))
    assert [operation.kind for operation in merged.operations] == ["input", "relu", "conv", "conv", "add"]
    assert merged.inputs == ((), (0,), (1,), (1,), (2, 3))


def test_canonical_flattens_sums_and_crops():
    builder = GraphBuilder()
    image = builder.input((3, 8, 8))
    rows = builder.add("crop", image, name="rows", offset=(1, 0))
    both = builder.add("crop", rows, name="columns", offset=(0, 1))
    parts = [builder.add(kind, both, name=kind) for kind in ("relu", "tanh", "sigmoid")]
    inner = builder.add("add", *parts[:2], name="inner")
    graph = canonical(builder.build(builder.add("add", inner, parts[2], name="outer")))
    assert [operation.kind for operation in graph.operations] == ["input", "crop", "relu", "tanh", "sigmoid", "add"]
    assert graph.operations[1].attribute("offset") == (1, 1)
    assert len(graph.inputs[-1]) == 3
