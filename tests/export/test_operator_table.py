"""Tables of operators: they come back as written, add up as stated, and rank networks as a stopwatch does."""

import json
import random

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.operator_profile import ProfileSettings, fit_calibration, measure_networks, profile
from export.operator_table import Calibration, Entry, MeasuredOn, OperatorTable, TableContent, bytes_moved, unit_key
from export.runtime_units import RuntimeUnit
from nasengine.errors import ConfigError
from nasengine.graph import GraphBuilder, Operation
from nasengine.testing import small_config
from search_spaces.nasbench201 import NASBENCH201

QUICK = ProfileSettings(architectures=40, runs=15, networks=8)
SIZED = (NASBENCH201, small_config(NASBENCH201))


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "here.json"
    table, summary = profile([SIZED], path, QUICK)
    return path, table, summary


def pools(*sizes, kind="max_pool"):
    """Pools one after the other on images of a channel."""
    builder = GraphBuilder()
    last = builder.input((1, 32, 32))
    for index, kernel in enumerate(sizes):
        last = builder.add(kind, last, name=str(index), kernel=kernel)
    return builder.build(last)


def table_of(times, calibration=None):
    """A table of these milliseconds by unit of a machine with the plain layout."""
    entries = {
        unit_key(unit): Entry(
            kind=unit.kind, macs=0, bytes_moved=bytes_moved(unit), median_ms=time, spread_ms=0.0, runs=1
        )
        for unit, time in times.items()
    }
    machine = MeasuredOn(cpu="a", system="b", onnxruntime="c", threads=1, block=0, clock="processor")
    return OperatorTable(
        TableContent(machine=machine, date="d", empty_ms=0.5, calibration=calibration, entries=entries)
    )


def known_units(graph):
    return table_of({}).units(graph)


def test_tables_come_back_as_they_were_written(profiled, tmp_path):
    path, table, summary = profiled
    assert OperatorTable.read(path).content == table.content
    table.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["again.json"]
    assert summary["entries"] == len(table.content.entries) > 20
    assert summary["skipped_kinds"] == []
    assert json.loads(json.dumps(summary)) == summary


def test_a_profile_goes_on_where_it_was_interrupted(profiled, tmp_path, monkeypatch):
    _, table, _ = profiled
    steps = []

    class Interrupting:
        def begin(self, task, num_steps, done):
            steps.append((task, num_steps, done))

        def advance(self, task, step, metrics):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        profile([SIZED], tmp_path / "here.json", QUICK, Interrupting())
    half = OperatorTable.read(tmp_path / "here.json").content
    assert half.calibration is None
    whole, _ = profile([SIZED], tmp_path / "here.json", QUICK)
    assert set(half.entries) < set(whole.content.entries) == set(table.content.entries)
    assert all(whole.content.entries[key] == entry for key, entry in half.entries.items())
    assert whole.content.calibration.networks == QUICK.networks
    assert steps == [("units", len(whole.content.entries), 0)]
    with pytest.raises(ConfigError, match="expected one of this machine with the same runtime and threads"):
        profile([SIZED], tmp_path / "here.json", ProfileSettings(threads=2))


@pytest.mark.slow
def test_predictions_rank_networks_as_measured(profiled):
    _, table, _ = profiled
    rng, (space, config) = random.Random(9), SIZED
    graphs = [space.to_graph(space.sample(rng), config) for _ in range(30)]
    assert [table.missing(graph) for graph in graphs] == [[]] * 30
    measured = measure_networks(graphs, threads=1, runs=25, seed=1)
    prediction = table.predict(graphs)
    assert numpy.corrcoef(prediction.mean.argsort().argsort(), measured.argsort().argsort())[0, 1] > 0.8
    assert (prediction.std > 0).all()


def test_units_are_added_up_and_calibrated():
    graph = pools(3, 3, 3)
    first, second, third = known_units(graph)
    times = {first: 1.0, second: 0.5, third: 0.25}
    assert table_of(times).predict([graph]).mean == pytest.approx([0.5 + 1.75])
    known = Calibration(intercept_ms=2.0, slope=3.0, relative_error=0.1, median_relative_error=0.1, networks=3)
    prediction = table_of(times, known).predict([graph, graph])
    assert prediction.mean == pytest.approx([7.25, 7.25])
    assert prediction.std == pytest.approx([0.725, 0.725])
    assert table_of(times).predict([]).mean.shape == (0,)


def test_unknown_units_are_estimated_with_a_larger_error():
    known = Calibration(intercept_ms=0.0, slope=1.0, relative_error=0.01, median_relative_error=0.01, networks=3)
    graph = pools(3, 5, 3, 5, 3)
    units = known_units(graph)
    complete = {unit: bytes_moved(unit) / 1000 for unit in units}
    table = table_of(complete, known)
    partial = table_of({unit: complete[unit] for unit in units if unit != units[2]}, known)
    assert table.missing(graph) == []
    assert partial.missing(graph) == [unit_key(units[2])]
    whole, guess = table.predict([graph]), partial.predict([graph])
    assert guess.mean == pytest.approx(whole.mean, rel=0.05)
    assert guess.std[0] > 2 * whole.std[0]
    other = partial.predict([pools(3, kind="avg_pool")])  # a kind of which there are no entries at all
    assert 0 < other.mean[0] < 100
    assert other.std[0] > 0.2 * other.mean[0]


def test_names_hold_what_costs_depend_on():
    shape = (16, 8, 8)
    conv = Operation("conv", (shape,), shape, kernel=(3, 3), padding=(1, 1))
    units = [
        RuntimeUnit(conv), RuntimeUnit(conv, is_blocked=True), RuntimeUnit(conv, activation="relu"),
        RuntimeUnit(conv, adds_another=True), RuntimeUnit(Operation("relu", (shape,), shape)),
        RuntimeUnit(Operation("conv", (shape,), shape, kernel=(5, 5), padding=(2, 2))),
        RuntimeUnit(Operation("conv", (shape,), shape, kernel=(3, 3), padding=(2, 2), dilation=(2, 2))),
        RuntimeUnit(Operation("conv", (shape,), shape, kernel=(3, 3), padding=(1, 1), groups=16)),
    ]  # fmt: skip
    assert len({unit_key(unit) for unit in units}) == len(units)
    assert bytes_moved(units[0]) == 4 * (2 * 16 * 64 + 16 * 16 * 9)


def test_calibration_finds_the_line_and_its_error_by_leaving_out():
    sums = numpy.array([1.0, 2.0, 3.0, 5.0])
    exact = fit_calibration(sums, 0.5 + 2 * sums)
    assert (exact.intercept_ms, exact.slope) == pytest.approx((0.5, 2.0))
    assert exact.relative_error == pytest.approx(0, abs=1e-8)
    assert fit_calibration(sums, 2 * sums - 0.5).intercept_ms == 0  # no call takes less than no time
    bent = fit_calibration(numpy.array([1.0, 2.0, 3.0]), numpy.array([3.0, 5.0, 6.0]))
    errors = numpy.array([(4 - 3) / 3, (5 - 4.5) / 5, (7 - 6) / 6])  # of the lines through the other two
    assert bent.relative_error == pytest.approx(numpy.sqrt((errors**2).mean()))
    assert bent.median_relative_error == pytest.approx(1 / 6)


def test_tables_that_cannot_be_are_refused(profiled, tmp_path):
    path, _, _ = profiled
    content = json.loads(path.read_text())
    key = next(iter(content["entries"]))
    for changes, message in (
        ({"schema_version": 2}, "schema_version"),
        ({"surplus": 1}, "surplus"),
        ({"entries": {key: content["entries"][key] | {"median_ms": -1}}}, "median_ms"),
        ({"entries": {key: content["entries"][key] | {"median_ms": float("nan")}}}, "median_ms"),
        ({"entries": {key: content["entries"][key] | {"runs": "many"}}}, "runs"),
    ):
        (tmp_path / "t.json").write_text(json.dumps(content | changes))
        with pytest.raises(ConfigError, match=message):
            OperatorTable.read(tmp_path / "t.json")
    with pytest.raises(ConfigError, match="expected a JSON file, got: No such file"):
        OperatorTable.read(tmp_path / "none.json")
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(50_000_001)
    with pytest.raises(ConfigError, match="expected at most 50000000 bytes"):
        OperatorTable.read(tmp_path / "large.json")
    with pytest.raises(ConfigError, match="expected entries, got none"):
        table_of({}).predict([pools(3)])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("schema_version", "machine", "date", "empty_ms", "load_average", "calibration", "entries")


@given(content=st.dictionaries(st.sampled_from(FIELDS), JSON).map(json.dumps) | st.text() | st.binary())
def test_malformed_tables_end_in_a_sentence(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError, match="operator table"):
        OperatorTable.read(path)
