"""What all predictors see: batch norms folded, dead nodes dropped."""

import random
from collections import Counter

import numpy
import pytest
import torch

from nasengine.network import GraphNetwork
from nasengine.tracing import graph_from_onnx
from predictors.graph_batch import GraphBatch
from predictors.predictor_batch import FEATURE_NAMES, predictor_batch, predictor_features
from search_spaces.darts import DARTS
from search_spaces.nasbench101 import NASBENCH101
from search_spaces.nasbench201 import NASBENCH201
from search_spaces.nasbench_macro import NASBENCH_MACRO


def _folded(graph) -> list[str]:
    """Kinds of the nodes that are left, one node after the other."""
    readers = Counter(source for sources in graph.inputs for source in sources)
    kinds = []
    for operation, sources in zip(graph.operations, graph.inputs, strict=True):
        follows_conv = operation.kind == "batch_norm" and graph.operations[sources[0]].kind == "conv"
        if not (follows_conv and readers[sources[0]] == 1):
            kinds.append(operation.kind)
    return kinds


@pytest.mark.parametrize("space", [NASBENCH101, NASBENCH201, DARTS])
def test_batch_norms_after_convolutions_are_folded(space):
    rng = random.Random(1)
    graphs = [space.to_graph(space.sample(rng), space.defaults) for _ in range(4)]
    batch = GraphBatch.of(graphs, fold_batch_norms=True)
    for index, graph in enumerate(graphs):
        places = batch.operation_index[batch.starts[index] : batch.starts[index + 1]]
        assert [batch.operations[place].kind for place in places] == _folded(graph)
    assert len(places) < len(graph)
    assert (batch.sources < batch.targets).all()
    assert (numpy.diff(batch.targets) >= 0).all()


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
@pytest.mark.parametrize(("space", "text"), [
    (NASBENCH101, "conv3x3-bn-relu,conv1x1-bn-relu:0-1,1-2,0-3,2-3"),
    (NASBENCH_MACRO, "21211222"),
])  # fmt: skip
def test_a_network_and_its_onnx_file_have_the_same_features(space, text, tmp_path):
    graph = space.to_graph(space.parse(text), space.defaults)
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
