"""The benchmark of searches under caps: gaps by hand, answers that keep the cap, rows that resume, bad input."""

import gzip
import json
import math
import random
import re
from itertools import product

import numpy
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.constrained_commands import constrained
from benchmarks.constrained_methods import FOR_TRADE_OFFS, UNDER_A_CAP, SkipsInfeasible, fitted_ahead
from benchmarks.constrained_search import BUDGETS, KEY, run, summary
from benchmarks.device_tables import DeviceTable
from benchmarks.results import ResultsFile
from benchmarks.search_tables import SearchTable
from benchmarks.tables import COLUMNS
from nasengine.errors import ConfigError
from nasengine.gene_space import GeneSpace
from nasengine.strategies import Constraint, Constraints
from search_spaces.nasbench_macro import NASBENCH_MACRO

SMALL = GeneSpace(
    name="small",
    title="the first five layers of NAS-Bench-Macro",
    paper="none",
    choices=(("0", "1", "2"),) * 5,
    to_graph_of=lambda genes, config: NASBENCH_MACRO.to_graph(NASBENCH_MACRO.parse("".join(genes) + "000"), config),
    defaults=NASBENCH_MACRO.defaults,
    separator="",
)


def accuracy_of(genes):
    return 80.0 + sum(place * int(gene) for place, gene in enumerate(genes)) / 2


def latency_of(genes):
    return 1.0 + sum((0.0, 1.0, 2.5)[int(gene)] for gene in genes)


def device_table(some):
    accuracy = {found: accuracy_of(found.genotype) for found in some}
    latency = {found: latency_of(found.genotype) for found in some}
    return DeviceTable(SearchTable(SMALL, accuracy), "pi", latency)


@pytest.fixture(scope="module")
def table():
    return device_table(list(SMALL.enumerate()))


def test_the_best_under_a_cap_is_what_the_rows_say(table):
    every = list(product("012", repeat=5))
    assert table.best_under(5.0) == max(accuracy_of(genes) for genes in every if latency_of(genes) <= 5)
    with pytest.raises(ConfigError, match="--caps: nothing on pi keeps 0.5 ms; the fastest takes 1 ms"):
        table.best_under(0.5)


def test_rows_are_right_resume_and_add_up(table, tmp_path):
    settings = {"caps": [5.0], "methods": ["random", "nsga2"], "seeds": [3, 4]}
    rows = list(run(table, ResultsFile(tmp_path / "rows.jsonl", KEY), **settings))
    assert [(row["cap_ms"], row["method"], row["seed"]) for row in rows] == [
        (cap, method, seed) for cap in (5.0, None) for method in settings["methods"] for seed in (3, 4)
    ]
    rng = random.Random(3)
    drawn = [SMALL.sample(rng).genotype for _ in range(BUDGETS[-1])]
    kept = [accuracy_of(genes) for genes in drawn if latency_of(genes) <= 5]
    assert rows[0]["found"][-1] == pytest.approx(max(kept))
    assert rows[0]["gap"][-1] == pytest.approx(table.best_under(5.0) - max(kept))
    assert list(run(table, ResultsFile(tmp_path / "rows.jsonl", KEY), **settings)) == rows
    drawn_row = summary(rows)[0]
    gaps = [row["gap"][-1] for row in rows[:2]]
    assert drawn_row["gap"][-1] == pytest.approx(sum(gaps) / 2, abs=1e-5)
    assert drawn_row["gap_error"][-1] == pytest.approx(abs(gaps[0] - gaps[1]) / 2, abs=1e-5)
    assert all(0 < row["hypervolume"][0] <= row["hypervolume"][1] <= 1 for row in rows[4:])


@pytest.mark.slow
def test_every_method_answers_within_the_cap_and_guidance_finds_the_best(table):
    rows = list(run(table, ResultsFile(None, KEY), caps=[5.0], methods=list(UNDER_A_CAP), seeds=[0]))
    by_method = {row["method"]: row for row in rows if row["cap_ms"] is not None}
    assert all(row["keeps_cap"] and latency_of(row["answer"]) <= 5.0 for row in by_method.values())
    assert all(accuracy_of(row["answer"]) == row["found"][-1] for row in by_method.values())
    assert by_method["guided"]["gap"] == by_method["guided_ahead"]["gap"] == [0.0, 0.0]


def test_guided_trade_offs_are_those_of_the_table(table):
    rows = list(run(table, ResultsFile(None, KEY), caps=[], methods=["random", "pareto_guided"], seeds=[0]))
    drawn, guided = (row["hypervolume"] for row in rows)
    assert guided[-1] > 0.995
    assert guided[0] > drawn[0]


def test_latencies_that_are_known_ahead_cost_no_accuracy(table):
    predictor = fitted_ahead(table, random.Random(0))
    graphs = table.accuracies.candidates.graphs
    found = predictor.predict(graphs).mean
    truth = numpy.array([table.latency_ms[one] for one in table.accuracies.candidates.architectures])
    assert numpy.corrcoef(found, truth)[0, 1] > 0.9
    assert predictor.predict(graphs[::7]).mean == pytest.approx(found[::7])


def test_evolution_never_sees_what_exceeds_the_limits(table):
    told = []

    class Listener:
        def ask(self, count):
            return []

        def tell(self, evaluations):
            told.extend(evaluations)

    limits = Constraints((Constraint("latency_ms", 5.0),))
    shown = [table.evaluate(found) for found in list(table.latency_ms)[::5]]
    SkipsInfeasible(Listener(), limits).tell(shown)
    assert [one.failure is None for one in told] == [table.latency_ms[one.architecture] <= 5 for one in told]
    assert len({one.failure for one in told}) == 2


def test_every_method_starts_with_members_of_the_space(table):
    limits = Constraints((Constraint("latency_ms", 5.0),))
    for method in (*UNDER_A_CAP.values(), *FOR_TRADE_OFFS.values()):
        (found,) = method(table, limits, random.Random(0)).ask(1)
        SMALL.validate(found)  # raises where it is no member
        assert found in table.latency_ms


def write(folder, latency):
    """One network in both tables."""
    text = "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
    for name, column, value in (
        ("nasbench201", COLUMNS["nasbench201"], 90.0),
        ("nasbench201_hardware", "pi_latency_ms", latency),
    ):
        with gzip.open(folder / f"{name}.csv.gz", "wt") as file:
            file.write(f"arch,{column}\n{text},{value}\n")
    return folder


def invoke(*arguments):
    app = typer.Typer()
    app.command()(constrained)
    return CliRunner().invoke(app, list(arguments))


def test_networks_that_did_not_run_are_infinitely_slow(tmp_path):
    assert list(DeviceTable.read(write(tmp_path, -1), "pi").latency_ms.values()) == [math.inf]
    assert list(DeviceTable.read(write(tmp_path, 2.5), "pi").latency_ms.values()) == [2.5]


def test_the_command_prints_finished_rows_and_a_table(table, tmp_path):
    out = tmp_path / "rows.jsonl"
    finished = list(run(table, ResultsFile(out, KEY), caps=[5.0], methods=["random"], seeds=[0, 1]))
    options = ["--table-dir", str(write(tmp_path, 2.5)), "--device", "pi", "--caps", "5", "--methods", "random"]
    options += ["--seeds", "0..1", "--out", str(out)]
    assert json.loads(invoke(*options, "--json").stdout) == summary(finished)
    shown = invoke(*options)
    assert shown.exit_code == 0
    assert "random" in shown.stdout


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
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, arguments, message):
    options = ["--table-dir", str(write(tmp_path, 2.5)), "--device", "pi", "--out", str(tmp_path / "rows"), "--json"]
    result = invoke(*options, *arguments)
    assert result.exit_code == 2
    assert re.search(message, json.loads(result.stdout)["error"])
