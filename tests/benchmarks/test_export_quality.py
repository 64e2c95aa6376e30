"""``nasengine bench export`` on a small space and little data, and its figures on rows made by hand."""

import random

import pytest

from benchmarks.export_quality import KEY, in_turns, misses, run
from benchmarks.export_winners import CONVOLUTIONAL, TRANSFORMER, recipe_of, train_winner
from benchmarks.results import ResultsFile
from nasengine.data.digits import load
from nasengine.protocols import NetworkConfig
from search_spaces.nasbench201 import NASBENCH201
from search_spaces.vision_transformer import VISION_TRANSFORMER


@pytest.fixture(scope="module")
def digits():
    return load().reduced(400, 100, None, 0)


@pytest.mark.slow
def test_a_row_holds_all_figures_and_is_not_run_again(digits, tmp_path):
    results = ResultsFile(tmp_path / "rows.jsonl", KEY)
    settings = {"seeds": [2], "threads": 1, "epochs": 1}
    (row,) = run(["nasbench201"], digits, results, **settings, report=lambda line: None)
    assert row["max_deviation"] <= 1e-4
    assert row["top1_agreement"] == 1.0
    assert row["num_parameters"] == 181_434
    assert row["size_ratio"] == round(row["int8_bytes"] / row["float_bytes"], 4) < 0.30
    assert row["int8_drop"] == pytest.approx(row["accuracy"] - row["int8_accuracy"], abs=1e-4)
    assert row["runtime_ratio"] == pytest.approx(row["onnx_ms"] / row["eager_ms"], abs=0.01)
    assert set(row["deviations"]) == {"min-max", "entropy", "percentile"}
    said: list[str] = []
    assert list(run(["nasbench201"], digits, ResultsFile(results.path, KEY), **settings, report=said.append)) == [row]
    assert said == []


def test_misses_name_what_is_short_of_the_goals():
    good = {"num_parameters": 200_000, "max_deviation": 1e-5, "top1_agreement": 1.0, "int8_drop": 0.005,
            "size_ratio": 0.3, "runtime_ratio": 0.6}  # fmt: skip
    assert misses(good) == []
    bad = {"max_deviation": 2e-4, "int8_drop": 0.006, "size_ratio": 0.31, "runtime_ratio": 0.7, "top1_agreement": 0.99}
    assert set(misses(good | bad)) == set(bad)
    assert misses(good | {"size_ratio": 0.31, "num_parameters": 100_000}) == []


def test_jobs_run_in_turns_and_warm_up_does_not_count(monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock) / 1e3)
    order: list[str] = []
    found = in_turns({name: lambda name=name: order.append(name) for name in "abc"}, runs=3, seed=0)
    assert found == {name: pytest.approx(1.0) for name in "abc"}
    rounds = ["".join(order[start : start + 3]) for start in range(0, len(order), 3)]
    assert len(rounds) == 23
    assert {"".join(sorted(part)) for part in rounds} == {"abc"}
    assert len(set(rounds)) > 1


def test_transformers_that_images_do_not_fit_are_drawn_again_and_trained_by_adamw(digits):
    first = VISION_TRANSFORMER.format(VISION_TRANSFORMER.sample(random.Random(0)))
    assert "patch=16" in first  # and images have 8 pixels a side
    winner = train_winner("vision_transformer", digits, 0, 1)
    assert "patch=16" not in winner.genotype
    assert (winner.recipe.optimizer, winner.recipe.epochs) == ("adamw", 1)
    config = NetworkConfig(10, (1, 8, 8), 4, 1)
    assert recipe_of(NASBENCH201.to_graph(NASBENCH201.sample(random.Random(0)), config)) == CONVOLUTIONAL
    assert recipe_of(winner.network.graph) == TRANSFORMER
