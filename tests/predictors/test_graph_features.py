"""Graphs as arrays: features against networkx, colours against surroundings."""

import random

import networkx
import numpy
import pytest

from nasengine.graph import cost
from predictors.colours import refined_colours
from predictors.graph_batch import GraphBatch
from predictors.graph_features import LENGTHS, NAMES, graph_features, path_lengths
from predictors.operation_features import NUMBERS, operation_features
from search_spaces.nasbench101 import NASBENCH101
from search_spaces.nasbench201 import NASBENCH201


@pytest.fixture(scope="module")
def graphs():
    rng = random.Random(0)
    from dataclasses import replace

    return [
        space.to_graph(space.sample(rng), replace(space.defaults, cells=1))
        for space in (NASBENCH101, NASBENCH201)
        for _ in range(3)
    ]


def test_edges_and_nodes_are_those_of_the_graphs(graphs):
    batch = GraphBatch.of(graphs)
    assert batch.num_nodes == sum(map(len, graphs))
    for number, graph in enumerate(graphs):
        start, end = batch.starts[number], batch.starts[number + 1]
        assert [batch.operations[i] for i in batch.operation_index[start:end]] == list(graph.operations)
        own = (batch.targets >= start) & (batch.targets < end)
        pairs = zip(batch.sources[own] - start, batch.targets[own] - start, strict=True)
        assert sorted(pairs) == sorted((source, target) for source, target, _ in graph.edges)
        assert batch.outputs[number] - start == graph.outputs[0]


def test_paths_are_those_that_networkx_lists(graphs):
    batch = GraphBatch.of(graphs)
    table = numpy.array([[length(operation) for length in LENGTHS.values()] for operation in batch.operations])
    longest, shortest, log_paths = path_lengths(batch, table[batch.operation_index])
    compared = 0
    for number, graph in enumerate(graphs):
        if numpy.exp(log_paths[number]) > 3000:
            continue
        view = networkx.MultiDiGraph(graph.networkx)
        paths = list(networkx.all_simple_edge_paths(view, 0, graph.outputs[0]))
        weights = table[batch.operation_index[batch.starts[number] : batch.starts[number + 1]]]
        sums = numpy.array([weights[[0, *(edge[1] for edge in path)]].sum(0) for path in paths])
        numpy.testing.assert_allclose(longest[number], sums.max(0))
        numpy.testing.assert_allclose(shortest[number], sums.min(0))
        assert numpy.exp(log_paths[number]) == pytest.approx(len(paths))
        compared += 1
    assert compared >= 3


def test_features_have_names_and_the_costs_of_the_graph(graphs):
    features = graph_features(GraphBatch.of(graphs))
    assert features.shape == (len(graphs), len(NAMES))
    assert numpy.isfinite(features).all()
    numpy.testing.assert_allclose(features[:, 0], [numpy.log(1 + cost(graph).macs) for graph in graphs])
    numpy.testing.assert_allclose(features[:, 1], [numpy.log(1 + cost(graph).num_parameters) for graph in graphs])


def test_features_do_not_depend_on_the_other_graphs_of_the_batch(graphs):
    together = graph_features(GraphBatch.of(graphs))
    numpy.testing.assert_allclose(together[2:3], graph_features(GraphBatch.of(graphs[2:3])))


def test_operations_differ_in_their_numbers(graphs):
    operations = GraphBatch.of(graphs).operations
    rows = operation_features(operations)
    assert rows.shape == (len(operations), len(NUMBERS))
    assert numpy.isfinite(rows).all()
    assert numpy.abs(rows).max() < 4


def test_colours_tell_nodes_apart_by_their_surroundings():
    """The five equal cells of a stage: their inner nodes look alike for some steps and differ near the ends."""
    graph = NASBENCH201.to_graph(NASBENCH201.sample(random.Random(1)), NASBENCH201.defaults)
    batch = GraphBatch.of([graph, graph])
    colours = refined_colours(batch, batch.operation_index, 4)
    counts = [len(numpy.unique(found)) for found in colours]
    assert counts == sorted(counts)
    assert counts[0] == len(batch.operations)
    assert counts[-1] <= len(graph)
    for found in colours:
        assert (found[: len(graph)] == found[len(graph) :]).all()
