"""Predictions on cards are what the target's table says, with its error."""

import pytest

from export.operator_table import Calibration, Entry, MeasuredOn, OperatorTable, TableContent, unit_key
from export.predicted_latency import predicted_latency
from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph, GraphBuilder
from nasengine.targets import Latency, Target


def two_pools() -> ComputationGraph:
    builder = GraphBuilder()
    last = builder.input((1, 32, 32))
    for kernel in (3, 5):
        last = builder.add("max_pool", last, name=str(kernel), kernel=kernel)
    return builder.build(last)


def target(model: str) -> Target:
    return Target(name="mine", title="My board", latency=Latency(model=model))


def test_the_table_of_a_target_predicts(tmp_path):
    machine = MeasuredOn(cpu="Cortex", system="b", onnxruntime="c", threads=1, block=0, clock="processor")
    table = OperatorTable(TableContent(machine=machine, date="d"))
    entry = Entry(kind="max_pool", macs=0, bytes_moved=1, median_ms=2.0, spread_ms=0.0, runs=1)
    entries = {unit_key(unit): entry for unit in table.units(two_pools())}
    assert len(entries) == 2
    calibration = Calibration(intercept_ms=1.0, slope=1.5, relative_error=0.1, median_relative_error=0.05, networks=8)
    content = table.content.model_copy(update={"entries": entries, "calibration": calibration})
    OperatorTable(content).write(tmp_path / "board.json")
    found = predicted_latency(target(str(tmp_path / "board.json")), two_pools())
    assert found is not None
    assert found.latency_ms == pytest.approx(1.0 + 1.5 * (2.0 + 2.0))
    assert found.within_percent == pytest.approx(10.0)
    assert found.by == "the operator table board.json, measured on Cortex"


def test_nothing_is_predicted_without_a_table(tmp_path):
    assert predicted_latency(None, two_pools()) is None
    assert predicted_latency(Target(name="mine", title="My board"), two_pools()) is None
    with pytest.raises(ConfigError, match="expected a JSON file, got: No such file"):
        predicted_latency(target(str(tmp_path / "missing.json")), two_pools())
