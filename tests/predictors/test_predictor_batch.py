"""What all predictors see: graphs as exporters write them, dead nodes dropped."""

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


def _as_exported(graph) -> list[str]:
    """Kinds of the nodes that an exporter leaves, one node after the other."""
    readers = Counter(source for sources in graph.inputs for source in sources)
    stands_for, known, kinds = {}, {}, []
    for node, (operation, sources) in enumerate(zip(graph.operations, graph.inputs, strict=True)):
        inputs = tuple(stands_for[source] for source in sources)
        follows_conv = operation.kind == "batch_norm" and graph.operations[sources[0]].kind == "conv"
        stands_for[node] = node
        if operation.kind == "identity" or (follows_conv and readers[sources[0]] == 1):
            stands_for[node] = inputs[0]
        elif operation.kind in ("relu", "avg_pool", "max_pool", "mean", "truncate"):
            stands_for[node] = known.setdefault((operation, inputs), node)
        if stands_for[node] == node:
            kinds.append(operation.kind)
    return kinds


@pytest.mark.parametrize("space", [NASBENCH101, NASBENCH201, DARTS])
def test_nodes_are_those_that_an_exporter_leaves(space):
    rng = random.Random(1)
    graphs = [space.to_graph(space.sample(rng), space.defaults) for _ in range(4)]
    batch = GraphBatch.of(graphs, as_exported=True)
    for index, graph in enumerate(graphs):
        places = batch.operation_index[batch.starts[index] : batch.starts[index + 1]]
        assert [batch.operations[place].kind for place in places] == _as_exported(graph)
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
    batch = GraphBatch.of([builder.build(both)], as_exported=True)
    assert batch.num_nodes == 4


@pytest.mark.filterwarnings("ignore")  # of the exporter, about torch itself
@pytest.mark.parametrize(("space", "text"), [
    (NASBENCH201, "|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_3x3~1|+|nor_conv_1x1~0|skip_connect~1|nor_conv_3x3~2|"),
    (NASBENCH_MACRO, "01211202"),
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
