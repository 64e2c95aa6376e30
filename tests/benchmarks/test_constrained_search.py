"""The benchmark of searches under caps: gaps by hand, answers that keep the cap, rows that resume, bad input."""

import gzip
import json
import random
import re

import numpy
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.constrained_commands import constrained
from benchmarks.constrained_methods import FOR_TRADE_OFFS, UNDER_A_CAP, SkipsInfeasible, fitted_ahead
from benchmarks.constrained_search import BUDGETS, KEY, run, summary
from benchmarks.device_tables import DeviceTable
from benchmarks.results import ResultsFile
from nasengine.errors import ConfigError
from nasengine.graph import cost
from nasengine.strategies import Constraint, Constraints
from search_spaces.nasbench201 import NASBENCH201, OPERATIONS

COST = dict(zip(OPERATIONS, (0.0, 0.1, 1.0, 3.0, 0.5), strict=True))
WORTH = dict(zip(OPERATIONS, (0.0, 1.0, 2.5, 4.0, 0.7), strict=True))


def written(folder, device="pi", cheapest_fails=False):
    """All of NAS-Bench-201 with made-up numbers: latency and accuracy are sums over operations."""
    accuracies, latencies = ["arch,cifar10_test_200ep"], [f"arch,{device}_latency_ms"]
    for found in NASBENCH201.enumerate():
        text = NASBENCH201.format(found)
        operations = [edge.operation for edge in found.genotype.edges("cell")]
        latency = 1.0 + sum(COST[name] for name in operations)
        accuracies.append(f"{text},{70 + sum(WORTH[name] for name in operations)}")
        latencies.append(f"{text},{-1 if cheapest_fails and latency < 1.2 else latency}")
    for name, rows in (("nasbench201", accuracies), ("nasbench201_hardware", latencies)):
        with gzip.open(folder / f"{name}.csv.gz", "wt", compresslevel=1) as file:
            file.write("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return written(tmp_path_factory.mktemp("tables"), cheapest_fails=True)


@pytest.fixture(scope="module")
def table(folder):
    return DeviceTable.read(folder, "pi")


def test_the_best_under_a_cap_is_what_the_rows_say(folder, table):
    kept = [value for found, value in table.accuracies.accuracy.items() if table.latency_ms[found] <= 5.0]
    assert table.best_under(5.0) == max(kept)
    assert sum(numpy.isinf(list(table.latency_ms.values()))) > 0
    with pytest.raises(ConfigError, match="--caps: nothing on pi keeps 0.5 ms; the fastest takes 1.2 ms"):
        table.best_under(0.5)


def test_rows_are_right_resume_and_add_up(folder, tmp_path):
    settings = {"device": "pi", "caps": [5.0], "methods": ["random", "nsga2"], "seeds": [3, 4]}
    results = ResultsFile(tmp_path / "rows.jsonl", KEY)
    rows = list(run(folder, results, **settings))
    assert [(row["cap_ms"], row["method"], row["seed"]) for row in rows] == [
        (cap, method, seed) for cap in (5.0, None) for method in settings["methods"] for seed in (3, 4)
    ]
    rng = random.Random(3)
    drawn = [[edge.operation for edge in NASBENCH201.sample(rng).genotype.edges("cell")] for _ in range(BUDGETS[-1])]
    kept = [70 + sum(WORTH[name] for name in one) for one in drawn if 1.1 < 1 + sum(COST[n] for n in one) <= 5]
    assert rows[0]["found"][-1] == pytest.approx(max(kept))
    assert rows[0]["gap"][-1] == pytest.approx(rows[0]["best"] - max(kept))
    assert list(run(folder, ResultsFile(tmp_path / "rows.jsonl", KEY), **settings)) == rows
    drawn_row = summary(rows)[0]
    gaps = [row["gap"][-1] for row in rows[:2]]
    assert drawn_row["gap"][-1] == pytest.approx(sum(gaps) / 2, abs=1e-5)
    assert drawn_row["gap_error"][-1] == pytest.approx(abs(gaps[0] - gaps[1]) / 2, abs=1e-5)
    assert all(0 < row["hypervolume"][0] <= row["hypervolume"][1] <= 1 for row in rows[4:])


def test_every_method_answers_within_the_cap_and_guidance_beats_chance(folder):
    methods = ["random", "regularized_evolution", "guided", "guided_ahead"]
    rows = list(run(folder, ResultsFile(None, KEY), device="pi", caps=[5.0], methods=methods, seeds=[0]))
    by_method = {row["method"]: row for row in rows if row["cap_ms"] is not None}
    assert all(row["keeps_cap"] and row["answer"] for row in by_method.values())
    for method in methods[2:]:
        assert by_method[method]["gap"][-1] < by_method["random"]["gap"][-1]
        assert by_method[method]["share_kept"] > by_method["random"]["share_kept"]


def test_latencies_that_are_known_ahead_cost_no_accuracy(table):
    predictor = fitted_ahead(table, random.Random(0))
    graphs = table.accuracies.candidates.graphs
    found = predictor.predict(graphs).mean
    truth = numpy.array([table.latency_ms[one] for one in table.accuracies.candidates.architectures])
    runs = numpy.isfinite(truth) & numpy.isfinite(found)
    assert numpy.corrcoef(found[runs], truth[runs])[0, 1] > 0.9
    some = graphs[::700]
    assert predictor.predict(some).mean == pytest.approx(found[::700])


def test_evolution_never_sees_what_exceeds_the_limits(table):
    told = []

    class Listener:
        def ask(self, count):
            return []

        def tell(self, evaluations):
            told.extend(evaluations)

    limits = Constraints((Constraint("latency_ms", 5.0),))
    shown = [table.evaluate(found) for found in list(table.latency_ms)[::500]]
    SkipsInfeasible(Listener(), limits).tell(shown)
    assert [one.failure is None for one in told] == [table.latency_ms[one.architecture] <= 5 for one in told]
    assert len({one.failure for one in told}) == 2


def test_every_method_starts_with_members_of_the_space(table):
    limits = Constraints((Constraint("latency_ms", 5.0),))
    for method in (*UNDER_A_CAP.values(), *FOR_TRADE_OFFS.values()):
        (found,) = method(table, limits, random.Random(0)).ask(1)
        assert cost(NASBENCH201.to_graph(found, NASBENCH201.defaults)).macs > 0


def invoke(*arguments):
    app = typer.Typer()
    app.command()(constrained)
    return CliRunner().invoke(app, list(arguments))


def test_the_command_prints_rows_and_a_table(folder, tmp_path):
    options = ["--table-dir", str(folder), "--device", "pi", "--caps", "5", "--methods", "random", "--seeds", "0..1"]
    options += ["--out", str(tmp_path / "rows.jsonl")]
    rows = json.loads(invoke(*options, "--json").stdout)
    assert [(row["cap_ms"], row["seeds"]) for row in rows] == [(5.0, [0, 1]), (None, [0, 1])]
    shown = invoke(*options)
    assert shown.exit_code == 0
    assert "trade-offs" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "magic"], "--methods: expected some of random, .*, got magic"),
        (["--caps", "0.1"], "nothing on pi keeps 0.1 ms"),
        (["--caps", "ten"], "--caps: expected milliseconds above 0 with commas between them, got 'ten'"),
        (["--seeds", "5..1"], "--seeds: expected a first seed before the last"),
        (["--seeds", "0.."], "--seeds: expected whole numbers"),
        (["--device", "toaster"], "expected columns arch and toaster_latency_ms"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(folder, tmp_path, arguments, message):
    options = ["--table-dir", str(folder), "--device", "pi", "--out", str(tmp_path / "rows.jsonl"), "--json"]
    result = invoke(*options, *arguments)
    assert result.exit_code == 2
    assert re.search(message, json.loads(result.stdout)["error"])
