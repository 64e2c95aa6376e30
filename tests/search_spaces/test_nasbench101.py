"""NAS-Bench-101 against counts by hand, the benchmark's rules and its table."""

import json
import random
from dataclasses import replace

import pytest
import torch

from nasengine.architecture import Architecture
from nasengine.errors import GenotypeError
from nasengine.graph import cost
from nasengine.tracing.module import graph_from_module
from search_spaces.nasbench101 import MAX_EDGES, MAX_VERTICES, NASBENCH101, VertexCell, vertex_channels

# The best cell of the paper (figure 1 of its appendix): no stem, pools or classifier in these numbers.
CELL = VertexCell.of(["conv3x3-bn-relu", "maxpool3x3"], frozenset([(0, 1), (1, 2), (0, 3), (2, 3)]))


def test_parameters_by_hand():
    """A convolution and a pool after it; the output adds a projection of the input."""
    stem = 3 * 128 * 9 + 2 * 128

    def cell(inputs: int, outputs: int) -> int:
        projection = inputs * outputs + 2 * outputs  # into vertex 1, and the same again into the output
        return 2 * projection + outputs * outputs * 9 + 2 * outputs

    stacks = [(128, 128)] * 3 + [(128, 256)] + [(256, 256)] * 2 + [(256, 512)] + [(512, 512)] * 2
    expected = stem + sum(cell(*pair) for pair in stacks) + 512 * 10 + 10
    assert (
        cost(NASBENCH101.to_graph(Architecture("nasbench101", CELL), NASBENCH101.defaults)).num_parameters == expected
    )


def test_channels_are_shared_and_the_rest_goes_to_the_first():
    """Vertices 1, 3 and 4 share 128 channels; vertex 2 has as many as the larger that it feeds."""
    cell = VertexCell.of(
        ["conv1x1-bn-relu"] * 4,
        frozenset([(0, 1), (0, 2), (2, 3), (2, 4), (1, 5), (3, 5), (4, 5)]),
    )
    assert vertex_channels(cell, 128) == [43, 43, 43, 42]


def test_vertices_on_no_path_vanish():
    edges = frozenset([(0, 1), (0, 2), (1, 4), (3, 4)])
    cell = VertexCell.of(["conv3x3-bn-relu", "maxpool3x3", "conv1x1-bn-relu"], edges)
    assert cell == VertexCell(("conv3x3-bn-relu",), ((0, 1), (1, 2)))


def test_isomorphic_cells_have_one_canonical_form():
    one = VertexCell.of(["conv3x3-bn-relu", "maxpool3x3"], frozenset([(0, 1), (0, 2), (1, 3), (2, 3)]))
    other = VertexCell.of(["maxpool3x3", "conv3x3-bn-relu"], frozenset([(0, 1), (0, 2), (1, 3), (2, 3)]))
    assert one != other
    assert one.canonical() == other.canonical()


def test_all_cells_of_four_vertices_are_reached():
    """91 cells of at most four vertices: the benchmark's count (6 + 1 of three and two, 84 of four)."""
    rng, found = random.Random(0), set()
    architecture = NASBENCH101.parse("maxpool3x3:0-1,1-2")
    for _ in range(4000):
        child = NASBENCH101.mutate(architecture, rng)
        if len(child.genotype.operations) <= 2:
            architecture = child
            found.add(child.genotype)
    assert len(found) == 91


def test_samples_keep_the_limits():
    rng = random.Random(0)
    for _ in range(100):
        cell = NASBENCH101.sample(rng).genotype
        assert cell.output < MAX_VERTICES
        assert len(cell.edges) <= MAX_EDGES


def test_truncated_networks_are_traced_and_run():
    cell = NASBENCH101.parse("conv3x3-bn-relu,conv1x1-bn-relu,maxpool3x3:0-1,0-2,2-3,1-4,2-4,3-4")
    config = replace(NASBENCH101.defaults, channels=8, cells=1, image_shape=(3, 16, 16))
    graph = NASBENCH101.to_graph(cell, config)
    assert any(operation.kind == "truncate" for operation in graph.operations)
    network = NASBENCH101.build(cell, config).eval()
    traced = graph_from_module(network, torch.zeros(1, 3, 16, 16))
    assert cost(traced).num_parameters == cost(graph).num_parameters
    assert [op.kind for op in traced.operations].count("truncate") == [op.kind for op in graph.operations].count(
        "truncate"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maxpool3x3", "expected a text such as"),
        ("maxpool3x3:0-1,1", "expected a text such as"),
        ("maxpool5x5:0-1,1-2", "expected operations among conv3x3-bn-relu"),
        ("maxpool3x3:0-1", "expected a path from vertex 0 to vertex 2, got none"),
        ("maxpool3x3:1-0,1-2", "expected edges from lower to higher vertices of 0 to 2, got 1-0"),
        (",".join(["maxpool3x3"] * 6) + ":0-1", "expected at most 7 vertices, got 8"),
        (",".join(["maxpool3x3"] * 5) + ":0-1,0-2,0-3,0-4,0-5,1-6,2-6,3-6,4-6,5-6", "expected at most 9 edges, got 10"),
    ],
)
def test_wrong_texts(text, message):
    with pytest.raises(GenotypeError, match=message):
        NASBENCH101.parse(text)


@pytest.mark.slow
@pytest.mark.benchmark_data
def test_all_rows_of_the_table(benchmark_table):
    rows = benchmark_table("nasbench101_5v")
    assert len(rows) == 2_532
    wrong = []
    for row in rows:
        cell = VertexCell.of_matrix(json.loads(row["matrix"]), json.loads(row["ops"]))
        graph = NASBENCH101.to_graph(Architecture("nasbench101", cell), NASBENCH101.defaults)
        if cost(graph).num_parameters != int(row["params"]):
            wrong.append(row["hash"])
    assert wrong == []
