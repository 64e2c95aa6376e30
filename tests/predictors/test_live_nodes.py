"""Live nodes against the ancestors and descendants that networkx finds."""

import random
from dataclasses import replace

import networkx

from predictors.graph_batch import GraphBatch
from predictors.live_nodes import live_part
from search_spaces.nasbench201 import NASBENCH201

SMALL = replace(NASBENCH201.defaults, cells=1)
EMPTY = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
DEAD_END = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


def _graph(cell):
    return NASBENCH201.to_graph(NASBENCH201.parse(cell), SMALL)


def _live_by_networkx(graph):
    view = networkx.DiGraph(graph.networkx)
    view.remove_nodes_from([node for node, found in enumerate(graph.operations) if found.kind == "zero"])
    before = networkx.ancestors(view, graph.outputs[0]) | {graph.outputs[0]}
    return sorted(before & (networkx.descendants(view, 0) | {0}))


def test_keeps_what_lies_on_paths_without_zeros():
    rng = random.Random(2)
    graphs = [_graph(DEAD_END), *(NASBENCH201.to_graph(NASBENCH201.sample(rng), SMALL) for _ in range(8))]
    graphs = [graph for graph in graphs if _live_by_networkx(graph)]
    live = live_part(GraphBatch.of(graphs))
    assert any(len(_live_by_networkx(graph)) < len(graph) for graph in graphs)
    for number, graph in enumerate(graphs):
        start, end = live.starts[number], live.starts[number + 1]
        kept = _live_by_networkx(graph)
        assert [live.operations[i] for i in live.operation_index[start:end]] == [graph.operations[i] for i in kept]
        own = (live.targets >= start) & (live.targets < end)
        pairs = zip(live.sources[own] - start, live.targets[own] - start, strict=True)
        place = {node: number for number, node in enumerate(kept)}
        expected = [(place[a], place[b]) for a, b, _ in graph.edges if a in place and b in place]
        assert sorted(pairs) == sorted(expected)
        assert kept[live.outputs[number] - start] == graph.outputs[0]


def test_graph_that_sees_nothing_keeps_what_it_can_be_told_by():
    """Without any connection the classifier sees constants: one node is left in each cell-free network's place."""
    live = live_part(GraphBatch.of([_graph(EMPTY), _graph(DEAD_END)]))
    assert len(live) == 2
    assert live.starts[1] >= 1
    assert live.outputs[0] < live.starts[1] <= live.outputs[1]
