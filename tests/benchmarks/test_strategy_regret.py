"""The benchmark of strategies: regret by hand, rows that resume, the hook for scores that need no labels."""

import gzip
import json
import random
import re
from itertools import product

import numpy
import pytest
from typer.testing import CliRunner

import cli
from benchmarks.results import ResultsFile
from benchmarks.search_tables import SearchTable
from benchmarks.strategy_methods import METHODS, InformedProcess, informed
from benchmarks.strategy_regret import BUDGETS, KEY, run, search, summary
from benchmarks.tables import read_accuracies
from nasengine.errors import ConfigError
from nasengine.protocols import Prediction
from search_spaces.nasbench_macro import NASBENCH_MACRO


@pytest.fixture
def folder(tmp_path):
    """A table with all of NAS-Bench-Macro and made-up accuracies: more of everything is better."""
    rows = [f"{''.join(genes)},{50 + sum(map(int, genes))}" for genes in product("012", repeat=8)]
    with gzip.open(tmp_path / "nasbench_macro.csv.gz", "wt") as file:
        file.write("arch,cifar10_test_mean\n" + "\n".join(rows) + "\n")
    return tmp_path


class Listed:
    """Proposes the architectures of the space in order."""

    def __init__(self):
        self.left = NASBENCH_MACRO.enumerate()

    def ask(self, count):
        return [next(self.left) for _ in range(count)]

    def tell(self, evaluations):
        pass


def test_the_best_so_far_is_noted_at_each_budget(folder):
    table = SearchTable.read(folder, "nasbench_macro")
    listed = [50 + sum(map(int, genes)) for genes in product("012", repeat=8)]
    found = search(table, lambda table, rng: Listed(), seed=0)
    assert found == [max(listed[:budget]) for budget in BUDGETS]
    assert table.best == 66


def test_rows_are_resumed_and_summed_up(folder, tmp_path):
    path = tmp_path / "rows.jsonl"
    settings = {"spaces": ["nasbench_macro"], "methods": ["random", "fuzzy_evolution"], "seeds": range(5, 7)}
    rows = list(run(folder, ResultsFile(path, KEY), **settings))
    assert [(row["method"], row["seed"]) for row in rows] == [(m, s) for m in settings["methods"] for s in (5, 6)]
    assert list(run(folder, ResultsFile(path, KEY), **settings)) == rows
    drawn, evolved = summary(rows)
    last = [row["regret"][-1] for row in rows[:2]]
    assert drawn["regret"][-1] == pytest.approx(sum(last) / 2)
    assert drawn["regret_standard_error"][-1] == pytest.approx(abs(last[0] - last[1]) / 2)
    assert evolved["mean_found"][-1] + evolved["regret"][-1] == pytest.approx(66)
    assert evolved["seeds"] == [5, 6]


@pytest.fixture
def part():
    """A table of every fortieth architecture."""
    some = list(NASBENCH_MACRO.enumerate())[::40]
    return SearchTable(NASBENCH_MACRO, {found: 50.0 + sum(map(int, found.genotype)) for found in some})


def test_a_score_without_labels_comes_first_and_becomes_a_feature(part):
    table = part
    truth = numpy.array([table.accuracy[found] for found in table.candidates.architectures])
    calls = []

    def oracle(graphs):
        calls.append(len(graphs))
        return Prediction(truth, numpy.zeros(len(truth)))

    method = informed(oracle)
    for seed in range(2):
        (found,) = method(table, random.Random(seed)).ask(1)
        assert table.accuracy[found] == table.best
    assert calls == [len(truth)]
    process = InformedProcess(table, oracle(table.candidates.graphs))
    process.fit(table.candidates.graphs[::5], truth[::5].tolist())
    assert numpy.corrcoef(process.predict(table.candidates.graphs).mean, truth)[0, 1] > 0.9


def test_every_method_proposes_members_of_the_space(part):
    for method in METHODS.values():
        (found,) = method(part, random.Random(0)).ask(1)
        NASBENCH_MACRO.validate(found)  # raises where it is no member
        assert found.space == NASBENCH_MACRO.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--spaces", "darts"], "--spaces: expected some of nasbench_macro, nasbench201, got darts"),
        (["--methods", "magic"], "--methods: expected some of random, .*, got magic"),
        (["--spaces", "nasbench201", "--methods", "random"], "nasbench201.csv.gz"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(folder, tmp_path, arguments, message):
    options = ["--table-dir", str(folder), "--out", str(tmp_path / "rows.jsonl"), "--json"]
    result = CliRunner().invoke(cli.app, ["bench", "strategy", *options, *arguments])
    assert result.exit_code == 2
    assert re.search(message, json.loads(result.stdout)["error"])


def test_missing_columns_are_named(folder):
    with pytest.raises(ConfigError, match="expected columns arch and beauty with numbers"):
        read_accuracies(folder / "nasbench_macro.csv.gz", "beauty")
