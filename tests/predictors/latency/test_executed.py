"""What is executed: by hand, on cells whose live part is known."""

import numpy
import pytest

from predictors.graph_batch import GraphBatch
from predictors.latency.executed import Execution
from predictors.latency.features import LAYERS, PLACE_NAMES, SLOTS, WORK_NAMES, place_features, work_features
from search_spaces.nasbench201 import NASBENCH201 as SPACE

NUM_CELLS, NUM_REDUCTIONS = 15, 2


def execution_of(*genotypes: str) -> Execution:
    graphs = [SPACE.to_graph(SPACE.parse(text), SPACE.defaults) for text in genotypes]
    return Execution.of(GraphBatch.of(graphs, fold_batch_norms=True))


def places(genotype: str) -> dict[str, float]:
    return dict(zip(PLACE_NAMES, place_features(execution_of(genotype))[0], strict=True))


def works(genotype: str) -> dict[str, float]:
    return dict(zip(WORK_NAMES, work_features(execution_of(genotype))[0], strict=True))


ONE_CONV = "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
DEAD_CONV = "|none~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|none~1|none~2|"
CONSTANT_CONV = "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|"
HELD_CONV = "|nor_conv_1x1~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
HELD_IN_SUM = "|none~0|+|nor_conv_1x1~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
NOTHING = "|nor_conv_1x1~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|none~2|"


def test_what_nobody_reads_is_not_work():
    assert works(DEAD_CONV)["macs of pointwise"] == works(ONE_CONV)["macs of pointwise"]


def test_what_works_on_zeros_is_work():
    assert works(CONSTANT_CONV)["macs of wide"] > works(ONE_CONV)["macs of wide"]
    assert places(CONSTANT_CONV)["wide on a constant"] == NUM_CELLS


@pytest.mark.parametrize(
    ("genotype", "name"),
    [(HELD_CONV, "pointwise multiplied by zero"), (HELD_IN_SUM, "pointwise in a sum multiplied by zero")],
)
def test_layers_that_zero_alone_reads_are_counted(genotype, name):
    assert places(genotype)[name] == NUM_CELLS
    assert places(ONE_CONV)[name] == 0


def test_a_network_that_sees_nothing_is_not_connected():
    assert places(NOTHING)["is connected"] == 0
    assert places(ONE_CONV)["is connected"] == 1


def test_operands_of_sums_know_their_place():
    first = places("|skip_connect~0|+|skip_connect~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|")
    last = places("|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|nor_conv_1x1~2|")
    assert first["pointwise as operand: first"] - last["pointwise as operand: first"] == NUM_CELLS
    assert last["pointwise as operand: last"] - first["pointwise as operand: last"] == NUM_CELLS
    assert last["pointwise after sum of 2"] == NUM_CELLS
    assert first["pointwise after sum of 2"] == NUM_REDUCTIONS  # cells that read a residual block


def test_every_working_layer_has_one_place_among_operands():
    rows = place_features(execution_of(ONE_CONV, DEAD_CONV, CONSTANT_CONV))
    start = len(LAYERS) * 4
    operands = rows[:, start : start + len(LAYERS) * len(SLOTS)].sum(axis=1)
    after = rows[:, :start].sum(axis=1) - rows[:, LAYERS.index("zero") * 4 : start].sum(axis=1)
    assert numpy.array_equal(operands, after)


def test_rows_do_not_depend_on_the_batch():
    together = place_features(execution_of(ONE_CONV, HELD_CONV))
    assert numpy.array_equal(together[1], place_features(execution_of(HELD_CONV))[0])
