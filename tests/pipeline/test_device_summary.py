"""Trade-offs on a device: front, knee and volume of invented accuracies on real costs."""

import numpy
import pytest

from nasengine.pipeline.device_summary import trade_offs
from nasengine.report.cell_drawing import new_figure
from nasengine.report.trade_off_drawing import draw_trade_offs
from search_spaces.nasbench201 import NASBENCH201
from tests.pipeline.test_limits import CONFIG, Feasibility, device

CELLS = {
    "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|": 0.5,
    "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|": 0.8,
    "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|nor_conv_1x1~2|": 0.7,
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|": 0.82,
}


@pytest.fixture
def feasibility() -> Feasibility:
    return Feasibility(NASBENCH201, CONFIG, device(latency_ms=60.0))


def test_front_and_knee(feasibility):
    found = trade_offs(feasibility, CELLS, NASBENCH201)
    first, second, third, fourth = CELLS
    on_front = {row["genotype"]: row["is_on_front"] for row in found["points"]}
    assert on_front == {first: True, second: True, third: False, fourth: True}
    assert found["knee"] == second
    assert found["objectives"] == ["validation_accuracy", "latency_ms", "model_bytes"]


def test_the_volume_is_that_of_random_points_below_the_front(feasibility):
    found = trade_offs(feasibility, CELLS, NASBENCH201)
    largest = 1.1 * max(row["model_bytes"] for row in found["points"])
    points = numpy.array([
        [row["validation_accuracy"], 1 - row["latency_ms"] / 60, 1 - row["model_bytes"] / largest]
        for row in found["points"]
    ])  # fmt: skip
    drawn = numpy.random.default_rng(0).random((20_000, 3))
    below = (drawn[:, None] <= points).all(axis=2).any(axis=1).mean()
    assert found["hypervolume"] == pytest.approx(below, abs=0.015)


def test_less_than_two_architectures_trade_nothing(feasibility):
    only = dict(list(CELLS.items())[:1])
    assert trade_offs(feasibility, only, NASBENCH201) is None


def test_the_panel_shows_all_of_it(feasibility):
    axis = new_figure((4.0, 4.0)).subplots()
    found = trade_offs(feasibility, CELLS, NASBENCH201)
    winner = list(CELLS)[3]
    draw_trade_offs(axis, {"name": "board", "limits": {"latency_ms": 60.0}, "trade_offs": found}, winner)
    assert {text.get_text() for text in axis.get_legend().get_texts()} == {"front", "knee", "winner", "limit"}
    assert "board" in axis.get_xlabel()
