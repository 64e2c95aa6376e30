"""The yardstick of rank correlation: what it trains and compares."""

import random
from dataclasses import replace

import pytest

from benchmarks.rank_correlation import SCALE, SCALES, _tau, run
from benchmarks.results import ResultsFile
from benchmarks.tables import Table
from nasengine import registry
from nasengine.data.digits import load

SPACE = registry.load("search space", "nasbench_macro")
SMALL = replace(
    SCALE, recipe=replace(SCALE.recipe, epochs=2, batch_size=32), warmup_epochs=1, epochs_between=0, num_images=128,
    image_size=8, channels=4, scoring_batches=2, path_images=32,
)  # fmt: skip


class AnyAccuracy(dict):
    """A table without rows: an accuracy for every architecture, the same in every process."""

    def __missing__(self, genotype):
        return random.Random(genotype).random()


def rows(splits, path):
    results = ResultsFile(path, ("space", "splits", "seed", "num_architectures", "threads"))
    return list(run(
        SPACE, load(), Table(AnyAccuracy(), {}), results, splits=splits, seeds=[0], num_architectures=12, threads=1,
    ))  # fmt: skip


def test_a_row_for_each_number_of_leaves(tmp_path, monkeypatch):
    monkeypatch.setitem(SCALES, "nasbench_macro", SMALL)
    found = rows([0, 1, 2], tmp_path / "rows.jsonl")
    assert [row["num_leaves"] for row in found] == [1, 2, 4]
    assert [[len(level) for level in row["divided"]] for row in found] == [[], [1], [1, 2]]
    for row in found:
        assert -1 <= row["kendall_tau_by_loss"] <= 1
        assert sum(leaf["architectures"] for leaf in row["leaves"]) == 12
    assert rows([0, 1, 2], tmp_path / "rows.jsonl") == found  # from the file


@pytest.mark.parametrize("scale", [SCALE, *SCALES.values()], ids=["default", *SCALES])
def test_the_warm_up_leaves_epochs_for_the_leaves(scale):
    assert 0 < scale.warmup_epochs < scale.recipe.epochs


def test_what_cannot_be_ranked_has_no_tau():
    assert _tau([(0, 0.5, -1.0, 90.0)], 1) is None
    assert _tau([(0, 0.5, -1.0, 90.0), (0, 0.5, -2.0, 91.0)], 1) is None  # equal accuracies
    assert _tau([(0, 0.5, -1.0, 90.0), (0, 0.5, -2.0, 91.0)], 2) == -1.0
