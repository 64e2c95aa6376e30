"""Networks that are built from graphs."""

import random

import pytest
import torch

from nasengine.errors import GraphError
from nasengine.graph import GraphBuilder
from nasengine.network import GraphNetwork
from nasengine.testing import small_config
from search_spaces.darts import DARTS


def test_weights_depend_on_the_seed_alone():
    graph = DARTS.to_graph(DARTS.sample(random.Random(0)), small_config(DARTS))
    first, second, other = (GraphNetwork(graph, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_initial_weights_have_torchs_distribution():
    builder = GraphBuilder()
    conv = builder.add("conv", builder.input((64, 8, 8)), name="conv", channels=256, kernel=3, bias=True)
    module = GraphNetwork(builder.build(conv), seed=0).nodes["conv"]
    reference = torch.nn.Conv2d(64, 256, 3)
    assert module.weight.std().item() == pytest.approx(reference.weight.std().item(), rel=0.02)
    assert module.bias.abs().max().item() <= 1 / (64 * 9) ** 0.5


def test_every_primitive_runs():
    builder = GraphBuilder()
    node = builder.input((4, 8, 8))
    for kind in ("relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hard_sigmoid", "hard_swish"):
        node = builder.add(kind, node, name=kind)
    doubled = builder.add("scale", node, name="double", value=2.0)
    shifted = builder.add("offset", doubled, name="shift", value=1.0)
    learned = builder.add("scale", shifted, name="learned", learned=True, parameter_shape=(4, 1, 1))
    node = builder.add("mul", learned, builder.add("sub", shifted, doubled, name="one"), name="product")
    node = builder.add("div", node, builder.add("softmax", node, name="share", axis=0), name="quotient")
    node = builder.add("pad", node, name="pad", pads=(1, 0, 0, 1))
    node = builder.add("reshape", node, name="tokens", shape=(4, 81))
    node = builder.add("layer_norm", node, name="norm")
    turned = builder.add("transpose", node, name="turn", axes=(1, 0))
    node = builder.add("flatten", builder.add("matmul", node, turned, name="attention"), name="flat")
    network = GraphNetwork(builder.build(node), seed=0)
    assert network(torch.rand(3, 4, 8, 8)).shape == (3, 16)


def test_drop_path_spares_identities_and_keeps_the_mean():
    builder = GraphBuilder()
    image = builder.input((1, 1, 1))
    same = builder.add("identity", image, name="same")
    other = builder.add("relu", image, name="other")
    network = GraphNetwork(builder.build(builder.add("add", same, other, name="sum")))
    values = network(torch.ones(20_000, 1, 1, 1), 0.2, torch.Generator().manual_seed(0))
    assert sorted(values.unique().tolist()) == [1.0, 2.25]
    assert values.mean().item() == pytest.approx(2.0, abs=0.02)
    assert network.eval()(torch.ones(5, 1, 1, 1), 0.2).unique().tolist() == [2.0]


def test_drop_path_spares_shortcuts_and_fits_tokens():
    builder = GraphBuilder()
    stream = builder.add("relu", builder.input((2, 3)), name="stream")
    branch = builder.add("scale", builder.add("relu", stream, name="branch"), name="scaled", value=3.0)
    network = GraphNetwork(builder.build(builder.add("add", stream, branch, name="sum")))
    values = network(torch.ones(4_000, 2, 3), 0.25, torch.Generator().manual_seed(0))
    assert sorted(values.unique().tolist()) == [1.0, 5.0]  # the stream alone, or with 3 / 0.75
    assert values.mean().item() == pytest.approx(4.0, abs=0.1)
    assert (values.flatten(1) == values[:, :1, 0]).all()  # whole images


def test_kinds_that_cannot_be_computed_are_refused():
    builder = GraphBuilder()
    node = builder.add("offset", builder.input((4,)), name="buffer", fixed=(4,))
    with pytest.raises(GraphError, match="got a buffer whose values are unknown"):
        GraphNetwork(builder.build(node))
