"""What all predictors see: batch norms folded as exporters do, dead nodes dropped."""

import random
from collections import Counter

import numpy
import pytest
import torch

from nasengine.network import GraphNetwork
from nasengine.tracing import graph_from_onnx
from predictors.graph_batch import GraphBatch
from predictors.predictor_batch import FEATURE_NAMES, predictor_batch, predictor_features
from search_spaces.nasbench101 import NASBENCH101
from search_spaces.nasbench201 import NASBENCH201
from search_spaces.nasbench_macro import NASBENCH_MACRO


@pytest.mark.parametrize("space", [NASBENCH101, NASBENCH201])
def test_batch_norms_after_convolutions_are_folded(space):
    rng = random.Random(1)
    graphs = [space.to_graph(space.sample(rng), space.defaults) for _ in range(3)]
    plain, folded = GraphBatch.of(graphs), GraphBatch.of(graphs, fold_batch_norms=True)
    for index, graph in enumerate(graphs):
        readers = Counter(source for sources in graph.inputs for source in sources)
        norms = [
            node for node, operation in enumerate(graph.operations)
            if operation.kind == "batch_norm"
            and graph.operations[graph.inputs[node][0]].kind == "conv"
            and readers[graph.inputs[node][0]] == 1
        ]  # fmt: skip
        sizes = [batch.starts[index + 1] - batch.starts[index] for batch in (plain, folded)]
        assert norms
        assert sizes[0] - sizes[1] == len(norms)
    assert (folded.sources < folded.targets).all()
    assert (numpy.diff(folded.targets) >= 0).all()


def test_a_convolution_with_two_readers_keeps_its_batch_norm():
    from nasengine.graph.builder import GraphBuilder

    builder = GraphBuilder()
    image = builder.input((3, 8, 8), name="image")
    conv = builder.add("conv", image, name="conv", channels=4, kernel=3, padding=1)
    norm = builder.add("batch_norm", conv, name="norm")
    both = builder.add("add", conv, norm, name="sum")
    batch = GraphBatch.of([builder.build(both)], fold_batch_norms=True)
    assert batch.num_nodes == 4


@pytest.mark.filterwarnings("ignore")  # of the exporter, about torch itself
@pytest.mark.parametrize("space", [NASBENCH201, NASBENCH_MACRO])
def test_a_network_and_its_onnx_file_have_the_same_features(space, tmp_path):
    architecture = space.sample(random.Random(3))
    graph = space.to_graph(architecture, space.defaults)
    network = GraphNetwork(graph, seed=0).eval()
    torch.onnx.export(
        network, (torch.randn(1, 3, 32, 32),), tmp_path / "net.onnx", dynamo=True, verbose=False
    )  # fmt: skip
    both = predictor_features(predictor_batch([graph, graph_from_onnx(tmp_path / "net.onnx")]))
    apart = [
        (name, *both[:, place]) for place, name in enumerate(FEATURE_NAMES)
        if abs(both[0, place] - both[1, place]) > 0.02
    ]  # fmt: skip
    assert apart == []
