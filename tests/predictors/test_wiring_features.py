"""Features of the wiring against paths that networkx lists and edges counted by hand."""

import random
from dataclasses import replace

import networkx

from predictors.graph_batch import GraphBatch
from predictors.graph_features import LENGTHS
from predictors.wiring_features import NAMES, wiring_features
from search_spaces.nasbench201 import NASBENCH201

SMALL = replace(NASBENCH201.defaults, cells=1)
CHAIN = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


def test_paths_by_sets_are_those_that_networkx_lists():
    rng = random.Random(3)
    graphs = [NASBENCH201.to_graph(NASBENCH201.sample(rng), SMALL) for _ in range(4)]
    features = wiring_features(GraphBatch.of(graphs))
    assert features.shape == (4, len(NAMES))
    for row, graph in zip(features, graphs, strict=True):
        paths = list(networkx.all_simple_paths(networkx.DiGraph(graph.networkx), 0, graph.outputs[0]))
        assert paths
        for names in (("pool",), ("wide", "pointwise"), ("wide", "pointwise", "pool")):
            sums = [sum(LENGTHS[name](graph.operations[node]) for node in path for name in names) for path in paths]
            label = " or ".join(names)
            assert row[NAMES.index(f"longest path, {label}")] == max(sums)
            assert row[NAMES.index(f"shortest path, {label}")] == min(sums)


def test_edges_look_through_activations_and_norms():
    """In each of three cells: 3x3 into 1x1 into a junction into a pool into a junction; zeros are layers of no kind."""
    row = wiring_features(GraphBatch.of([NASBENCH201.to_graph(NASBENCH201.parse(CHAIN), SMALL)]))[0]
    edges = dict(zip(NAMES, row, strict=True))
    assert edges["edges from wide to pointwise"] == 3
    assert edges["edges from pool to junction"] == 3
    assert edges["edges from pointwise to junction"] == 3 + 2  # and the shortcuts of two residual blocks
    assert edges["edges from junction to pool"] == 3 + 2
    assert edges["edges from pointwise to pool"] == 0
    assert edges["squared inputs of junctions"] == 3 * (2**2 + 3**2) + 2 * 2**2
