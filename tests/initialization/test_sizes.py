"""Depths and widths of networks of spaces that state them in the genotype, and of those that do not."""

import random

import pytest

from nasengine.errors import ConfigError, GenotypeError
from nasengine.graph import cost
from nasengine.initialization.sizes import check_distinct, resized
from nasengine.protocols import NetworkConfig
from search_spaces.nasbench201 import NASBENCH201
from search_spaces.two_path import TWO_PATH
from search_spaces.vision_transformer import VISION_TRANSFORMER

TRANSFORMER = VISION_TRANSFORMER.parse("depth=6,width=96,heads=3,ratio=2,patch=4")
CELL = NASBENCH201.sample(random.Random(0))
CONFIG = NetworkConfig(channels=8, cells=2)


def test_cells_and_channels_are_replaced():
    assert resized(NASBENCH201, CELL, CONFIG) == (CELL, CONFIG)
    assert resized(NASBENCH201, CELL, CONFIG, depth=3) == (CELL, NetworkConfig(channels=8, cells=3))
    assert resized(NASBENCH201, CELL, CONFIG, width=4) == (CELL, NetworkConfig(channels=4, cells=2))


def test_spaces_that_state_sizes_themselves_are_asked():
    found, config = resized(VISION_TRANSFORMER, TRANSFORMER, CONFIG, depth=2, width=48)
    assert VISION_TRANSFORMER.format(found) == "depth=2,width=48,heads=3,ratio=2,patch=4"
    assert config == CONFIG
    assert resized(VISION_TRANSFORMER, TRANSFORMER, CONFIG) == (TRANSFORMER, CONFIG)
    smaller, larger = (cost(VISION_TRANSFORMER.to_graph(one, config)) for one in (found, TRANSFORMER))
    assert smaller.num_parameters < larger.num_parameters / 6


@pytest.mark.parametrize(("space", "architecture"), [(NASBENCH201, CELL), (VISION_TRANSFORMER, TRANSFORMER)])
def test_sizes_below_one_are_refused(space, architecture):
    with pytest.raises(ConfigError, match="^depth: expected at least 1, got 0; width: expected at least 1, got -4$"):
        resized(space, architecture, CONFIG, depth=0, width=-4)


def test_widths_that_the_heads_do_not_divide_are_refused():
    with pytest.raises(GenotypeError, match="width: expected a multiple of its 3 heads, got 32"):
        resized(VISION_TRANSFORMER, TRANSFORMER, CONFIG, width=32)


def test_depths_that_change_nothing_are_refused():
    """Networks of two_path have the depth that their genotype says."""
    architecture = TWO_PATH.sample(random.Random(0))

    def graphs(space, architecture, sizes):
        return {
            size: space.to_graph(*resized(space, architecture, CONFIG, depth=size[0], width=size[1])) for size in sizes
        }

    with pytest.raises(ConfigError, match="same one at depths 1 and 3; networks of this space have a depth of their"):
        check_distinct(graphs(TWO_PATH, architecture, [(1, 8), (3, 8)]))
    check_distinct(graphs(TWO_PATH, architecture, [(1, 8), (1, 16)]))
    check_distinct(graphs(NASBENCH201, CELL, [(1, 8), (3, 8), (3, 4)]))
