"""Networks of the MobileNet spaces against networks written by hand, published counts, and counts by hooks."""

import itertools
import random
import time
from dataclasses import replace

import pytest
import torch

from export.onnx import export_onnx
from nasengine.architecture import Architecture
from nasengine.errors import GraphError
from nasengine.graph import canonical, cost, fingerprint, from_json, to_json
from nasengine.network import GraphNetwork
from nasengine.protocols import NetworkConfig
from nasengine.tracing import graph_from_module, graph_from_onnx, unknown_operators
from search_spaces.mobilenet import (
    MOBILENET,
    PROXYLESSNAS,
    InvertedResidual,
    MobileGenotype,
    Stage,
    cost_table,
    fitted,
    stage_list,
)
from tests.search_spaces.counts_by_hand import assert_equal_with_equal_weights
from tests.search_spaces.mobile_networks import counted, mobilenet_v3

DIGITS, CIFAR = NetworkConfig(10, (1, 8, 8), 8), NetworkConfig(10, (3, 32, 32), 16)
SPACES = pytest.mark.parametrize("space", [PROXYLESSNAS, MOBILENET], ids=lambda space: space.name)
TINY = MOBILENET.with_layout(
    replace(
        MOBILENET.layout, stages=(Stage(16, 1, 2, "hard_swish", squeezes=True),), min_blocks=1, resolutions=(128, 224)
    )
)
"""One block: quick to export."""


def test_proxylessnas_mobile_has_its_published_size():
    """4,080,512 parameters and 320 million multiply-accumulates; its second width is 32, that of the space 24."""
    layout = replace(
        PROXYLESSNAS.layout, stages=stage_list((32, 40, 80, 96, 192, 320), (4, 4, 4, 4, 4, 1), (2, 2, 2, 1, 2, 1))
    )
    space = PROXYLESSNAS.with_layout(layout)
    found = space.parse(
        "k5e3,k3e3,skip,skip/k7e3,k3e3,k5e3,k5e3/k7e6,k5e3,k5e3,k5e3/k5e6,k5e3,k5e3,k5e3/k7e6,k7e6,k7e3,k7e3/k7e6"
    )
    graph_cost = cost(space.to_graph(found, space.defaults))
    assert graph_cost.num_parameters == 4_080_512
    assert round(graph_cost.macs / 1e6) == 320


def test_mobilenet_v3_large_has_its_published_size():
    """5,483,032 parameters and 219 million multiply-accumulates (Howard et al., 2019); once-for-all has no bias of 1280

    values before the classifier.
    """
    space = MOBILENET.with_layout(replace(MOBILENET.layout, expansions=(2.3, 2.5, 3, 4, 6)))
    found = space.parse("r224:k3e4,k3e3/k5e3,k5e3,k5e3/k3e6,k3e2.5,k3e2.3,k3e2.3/k3e6,k3e6/k5e6,k5e6,k5e6")
    graph_cost = cost(space.to_graph(found, space.defaults))
    assert graph_cost.num_parameters == 5_483_032 - 1280
    assert graph_cost.macs / 1e6 == pytest.approx(219, rel=0.015)


def test_computes_what_a_network_written_by_hand_does():
    architecture = MOBILENET.parse("r160:k3e6,k5e3/k7e4,k3e3,k5e6/k3e4,k3e3/k5e6,k3e3/k7e3,k5e4")
    space = MOBILENET.with_layout(replace(MOBILENET.layout, num_strides=5))
    ours = space.build(architecture, NetworkConfig(10, (3, 64, 64), 16), seed=1)
    stages = [[(block.kernel, block.expansion) for block in stage] for stage in architecture.genotype.stages]
    theirs = mobilenet_v3(stages, 46, 10)
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert_equal_with_equal_weights(ours, theirs, images)
    found = ours.train()(images)  # with statistics of the batch values do not vanish on their way
    assert found.std(0).max().item() > 0.01
    torch.testing.assert_close(found, theirs.train()(images), rtol=1e-3, atol=1e-4)
    assert counted(ours, (3, 64, 64)) == counted(theirs, (3, 64, 64))


@SPACES
@pytest.mark.parametrize("config", [DIGITS, CIFAR], ids=["digits", "cifar"])
def test_costs_are_those_that_hooks_count(space, config):
    rng = random.Random(3)
    for architecture in (space.sample(rng), space.smallest(), space.sample(rng)):
        found = space.cost(architecture, config)
        graph_cost = cost(space.to_graph(architecture, config))
        assert (found.macs, found.num_parameters) == (graph_cost.macs, graph_cost.num_parameters)
        network = space.build(architecture, config)
        assert (found.macs, found.num_parameters) == counted(network, config.image_shape)


@SPACES
def test_tables_agree_with_graphs_at_every_size(space):
    rng = random.Random(4)
    for config in (space.defaults, CIFAR, replace(CIFAR, image_shape=(1, 28, 20), channels=20, num_classes=3)):
        for architecture in [space.sample(rng) for _ in range(15)] + [space.smallest(), space.largest()]:
            found, graph_cost = space.cost(architecture, config), cost(space.to_graph(architecture, config))
            assert (found.macs, found.num_parameters) == (graph_cost.macs, graph_cost.num_parameters)


@SPACES
def test_a_thousand_are_sampled_and_costed_in_a_second(space):
    rng, table = random.Random(0), cost_table(space.layout, space.defaults)
    start = time.process_time()
    assert len({table.of(space.sample(rng).genotype) for _ in range(1000)}) > 900
    assert time.process_time() - start < 1.0


@SPACES
def test_nothing_is_smaller_than_the_smallest_or_larger_than_the_largest(space):
    """Walks from both ends of the space."""
    rng = random.Random(5)
    for config in (DIGITS, space.defaults):
        least, most = space.cost_range(config)
        for end in (space.smallest(), space.largest()):
            for _ in range(60):
                end = space.mutate(end, rng)
                found = space.cost(end, config)
                assert least.macs <= found.macs <= most.macs
                assert least.num_parameters <= found.num_parameters <= most.num_parameters


def test_cost_ranges_hold_for_all_of_a_small_space():
    stages = tuple(replace(stage, num_blocks=2) for stage in MOBILENET.layout.stages[1:3])
    layout = replace(MOBILENET.layout, stages=stages, kernels=(3, 5), expansions=(1.5, 3), min_blocks=1)
    space = MOBILENET.with_layout(layout)
    blocks = [InvertedResidual(kernel, expansion) for kernel in (3, 5) for expansion in (1.5, 3)]
    lists = [found for length in (1, 2) for found in itertools.product(blocks, repeat=length)]
    every = [MobileGenotype(*found) for found in itertools.product(itertools.product(lists, lists), layout.resolutions)]
    assert len(every) == space.size
    costs = [cost_table(layout, DIGITS).of(genotype) for genotype in every]
    least, most = space.cost_range(DIGITS)
    assert (least.macs, most.macs) == (min(c.macs for c in costs), max(c.macs for c in costs))
    sizes = [c.num_parameters for c in costs]
    assert (least.num_parameters, most.num_parameters) == (min(sizes), max(sizes))


@SPACES
def test_traced_networks_have_the_graph_of_the_space(space):
    graph = space.to_graph(space.sample(random.Random(7)), DIGITS)
    traced = graph_from_module(GraphNetwork(graph), torch.zeros(2, 1, 8, 8))
    assert fingerprint(traced) == fingerprint(canonical(graph))
    assert from_json(to_json(graph)) == graph


@pytest.mark.parametrize(
    "space",
    [TINY, pytest.param(MOBILENET, marks=pytest.mark.slow), pytest.param(PROXYLESSNAS, marks=pytest.mark.slow)],
    ids=["tiny", "mobilenet", "proxylessnas"],
)
def test_exported_networks_agree_with_torch(space, tmp_path):
    genotype = replace(space.sample(random.Random(2)).genotype, resolution=space.layout.resolutions[0])
    architecture = Architecture(space.name, genotype)
    network = space.build(architecture, CIFAR, seed=0)
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(images)  # statistics of batch norms, without which values vanish on their way
    spread = network.eval()(images).std(0).max().item()
    report = export_onnx(network, images, tmp_path / "net.onnx", {})
    assert report.top1_agreement == 1.0
    assert report.max_deviation < 1e-3 * spread
    assert spread > 0.01
    traced = graph_from_onnx(tmp_path / "net.onnx")
    assert unknown_operators(traced) == {}
    assert cost(traced).macs == space.cost(architecture, CIFAR).macs


def test_weights_of_blocks_keep_their_names():
    names = PROXYLESSNAS.build(PROXYLESSNAS.smallest(), DIGITS).nodes.keys()
    assert {name.partition("/")[0] for name in names} == {"stem", "first", "stages", "head"}
    whole = MOBILENET.build(MOBILENET.largest(), DIGITS).nodes
    part = MOBILENET.build(MOBILENET.smallest(), DIGITS).nodes
    assert set(part) < set(whole)
    parts = {name.removeprefix("stages/1/blocks/0/") for name in part if name.startswith("stages/1/blocks/0/")}
    squeeze = {"squeeze/reduce", "squeeze/expand"}
    assert parts == squeeze | {f"{p}/{m}" for p in ("expansion", "depthwise", "projection") for m in ("conv", "norm")}


@pytest.mark.parametrize(
    ("side", "strides"),
    [
        (224, (2, 2, 2, 2, 1, 2)),
        (64, (1, 2, 2, 2, 1, 2)),
        (32, (1, 1, 2, 2, 1, 2)),
        (8, (1, 1, 1, 1, 1, 2)),
        (4, (1,) * 6),
    ],
)
def test_first_strides_are_dropped_where_images_are_small(side, strides):
    config = NetworkConfig(image_shape=(3, side, side), channels=16)
    assert fitted(MOBILENET.layout, config).strides == strides
    shapes = [operation.output_shape for operation in MOBILENET.to_graph(MOBILENET.largest(), config).operations]
    assert min(shape[1] for shape in shapes if len(shape) == 3 and shape[1] > 1) >= 4


def test_images_that_are_too_small_are_told_the_smallest():
    with pytest.raises(GraphError, match="expected images of at least 4 pixels a side, got 3"):
        MOBILENET.to_graph(MOBILENET.smallest(), NetworkConfig(image_shape=(3, 3, 9)))
    fixed = MOBILENET.with_layout(replace(MOBILENET.layout, num_strides=5))
    with pytest.raises(GraphError, match="5 strides: expected images of at least 56 pixels a side, got 55; use larger"):
        fixed.cost(fixed.smallest(), NetworkConfig(image_shape=(3, 55, 80), channels=16))
    graph = fixed.to_graph(fixed.smallest(), NetworkConfig(image_shape=(3, 56, 80), channels=16))
    graph.check()


def test_width_follows_the_stem():
    wide, narrow = (fitted(MOBILENET.layout, replace(CIFAR, channels=channels)) for channels in (32, 4))
    assert [stage.channels for stage in wide.stages] == [48, 80, 160, 224, 320]
    assert [stage.channels for stage in narrow.stages] == [8, 16, 24, 32, 40]
    assert (narrow.stem_channels, narrow.head_channels, narrow.feature_channels) == (8, 240, 320)
