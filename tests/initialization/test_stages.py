"""Units, runs and stages of real networks, and where networks of other depths take their weights from."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasengine.errors import ConfigError
from nasengine.initialization.stages import even_sizes, places_in, proportional_sizes, stages_of
from nasengine.initialization.units import units_of
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201


def graph_of(space, cells, seed=0):
    architecture = space.sample(random.Random(seed))
    return space.to_graph(architecture, replace(space.defaults, cells=cells, channels=4))


def test_darts_has_the_regular_cells_that_its_shapes_say():
    stages = [stage for stage in stages_of(graph_of(DARTS, 20)) if stage.size > 1]
    assert [(stage.name, stage.size) for stage in stages] == [("cells/2", 4), ("cells/8", 5), ("cells/15", 5)]


def test_every_node_is_in_one_unit():
    graph = graph_of(NASBENCH201, 3)
    units = units_of(graph)
    assert sorted(node for unit in units for node in unit.nodes) == list(range(len(graph)))
    assert [unit.name for unit in units][:3] == ["", "stages/0/cells/0", "stages/0/cells/1"]
    for unit in units:
        assert all(graph.names[node].endswith(local) for node, local in zip(unit.nodes, unit.local_names, strict=True))


def test_cells_of_another_genotype_have_another_signature():
    first, second = (units_of(graph_of(NASBENCH201, 1, seed))[1].signature for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize(("depth", "expected"), [
    (12, (3, 3, 2, 2, 2)),  # the map that SWS publishes for 12 layers
    (16, (4, 3, 3, 3, 3)), (6, (2, 1, 1, 1, 1)), (5, (1, 1, 1, 1, 1)),
])  # fmt: skip
def test_layers_are_dealt_as_published(depth, expected):
    assert even_sizes(depth, 5) == expected


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 40))
def test_proportional_sizes_add_up_and_keep_their_order(sizes, extra):
    depth = len(sizes) + extra
    found = proportional_sizes(depth, sizes)
    assert sum(found) == depth
    assert min(found) >= 1
    for first, second in zip(range(len(sizes)), range(1, len(sizes)), strict=False):
        if sizes[first] > sizes[second]:
            assert found[first] >= found[second]
    assert proportional_sizes(sum(sizes), sizes) == tuple(sizes)


def test_units_of_other_depths_keep_the_order_of_stages():
    stages = stages_of(graph_of(NASBENCH201, 6), 2)
    places = places_in(graph_of(NASBENCH201, 5), stages)
    cells = [place for place in places if place.unit.name.startswith("stages/0/cells")]
    assert [place.stage.name for place in cells] == ["stages/0/cells/0"] * 3 + ["stages/0/cells/3"] * 2
    assert [place.position for place in cells] == [0, 1, 2, 0, 2]
    assert [place.repeats for place in cells] == [3, 3, 3, 2, 2]


def test_stage_sizes_may_be_given():
    graph = graph_of(NASBENCH201, 4)
    sizes = (3, 1, 4, 2, 2)
    assert [stage.size for stage in stages_of(graph, sizes) if "cells" in stage.name] == list(sizes)


@pytest.mark.parametrize("sizes", [(3, 1), (4, 4, 4, 4), (4, 4, 3), (4, 4, 0, 4), (5, 4, 4)])
def test_stage_sizes_that_do_not_fit(sizes):
    with pytest.raises(ConfigError, match="expected sizes that add up to the runs of equal units, 4, 4, 4, got"):
        stages_of(graph_of(NASBENCH201, 4), sizes)


def test_fewer_units_than_stages():
    stages = stages_of(graph_of(NASBENCH201, 4), 3)
    with pytest.raises(
        ConfigError, match="expected at least 3 units from stages/0/cells/0 on, one for each stage, got 2"
    ):
        places_in(graph_of(NASBENCH201, 2), stages)


def test_units_that_the_learngene_does_not_know():
    with pytest.raises(ConfigError, match="unit stages/0/cells/0: expected one that the learngene knows"):
        places_in(graph_of(NASBENCH201, 2, seed=1), stages_of(graph_of(NASBENCH201, 4)))
