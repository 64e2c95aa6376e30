"""``nasengine bench init`` on small data, and its figures on rows made by hand."""

from dataclasses import replace

import pytest

from benchmarks.initialization_quality import ARMS, longer_epochs, run, summary
from benchmarks.initialization_setups import setups
from benchmarks.results import ResultsFile
from nasengine.data.digits import load


@pytest.fixture(scope="module")
def setup():
    (found,) = setups(["nasbench201-digits"], load().reduced(120, 60, None, 0), None, 1)
    return replace(found, channels=4, depths=(1, 2), auxiliary_depth=2)


def test_all_arms_begin_and_rows_are_not_run_again(setup, tmp_path):
    results = ResultsFile(tmp_path / "rows.jsonl", ("arm", "depth", "seed", "settings"))
    rows = list(run(setup, results, seeds=[0], report=lambda line: None))
    assert {row["arm"] for row in rows} == {"scratch", "distillation", *ARMS}
    assert len(rows) == 16
    said: list[str] = []
    assert list(run(setup, results, seeds=[0], report=said.append)) == rows
    assert said == []
    lines = {row["arm"]: row for row in summary(setup, rows)}
    assert lines["shared stages (SWS)"]["storage_ratio"] > 1.3
    assert "accuracy_equal_compute" in lines["distillation"]


def test_figures_of_rows_made_by_hand(setup):
    common = {"benchmark": "init", "setup": "s", "data": "digits", "epochs": 20, "settings": ""}
    rows = []
    for seed, shift in ((0, 0.0), (1, 0.1)):
        for depth in (1, 2):
            scratch = {
                "accuracy_1": 0.5,
                "accuracy_tenth": 0.6,
                "accuracy_full": 0.8 + shift,
                "num_stored": 100 * depth,
            }
            arm = {
                "accuracy_0": 0.6,
                "accuracy_1": 0.5,
                "accuracy_tenth": 0.85 if depth == 1 else 0.7,
                "num_stored": 50,
            }
            rows.append(common | {"arm": "scratch", "seed": seed, "depth": depth} | scratch)
            rows.append(common | {"arm": "elastic stages", "seed": seed, "depth": depth} | arm)
    setup = replace(setup, recipe=replace(setup.recipe, epochs=20))
    lines = {row["arm"]: row for row in summary(setup, rows)}
    assert lines["scratch"]["accuracy_full"] == pytest.approx(0.85)
    assert lines["scratch"]["accuracy_full_spread"] == pytest.approx(0.0707, abs=1e-4)
    found = lines["elastic stages"]
    assert found["storage_ratio"] == 6.0  # (100 + 200) / 50
    assert found["accuracy_0_beats_scratch_1"] == "2 of 2"
    assert found["accuracy_1_beats_scratch_1"] == "0 of 2"  # level is not above
    assert found["accuracy_tenth_beats_scratch_full"] == "1 of 2"  # 0.85 is level with the mean of 0.8 and 0.9
    assert found["accuracy_0_beats_scratch_full"] == "0 of 2"
    assert found["times_fewer_epochs_0"] == 2.0  # 2 x 20 epochs from scratch against 20
    assert found["times_fewer_epochs_1"] == round(40 / 22, 2)
    assert found["times_fewer_unit_epochs_tenth"] == round(60 / (20 * 1.5 + 2 * 3), 2)


def test_longer_sharing_takes_as_many_epochs_as_the_goal_allows(setup):
    setup = replace(setup, recipe=replace(setup.recipe, epochs=40), depths=tuple(range(6, 16)))
    assert longer_epochs(setup) == 60
    common = {"benchmark": "init", "setup": "s", "data": "digits", "epochs": 40, "settings": "", "depth": 6, "seed": 0}
    figures = {"accuracy_0": 0.9, "accuracy_1": 0.9, "accuracy_tenth": 0.9, "num_stored": 50}
    scratch = common | {"arm": "scratch", "accuracy_1": 0.5, "accuracy_tenth": 0.6, "accuracy_full": 0.9}
    rows = [scratch | {"num_stored": 100}, common | {"arm": "elastic stages, longer"} | figures]
    found = {row["arm"]: row for row in summary(setup, rows)}["elastic stages, longer"]
    assert found["times_fewer_epochs_0"] == pytest.approx(400 / 60, abs=0.01)
    assert found["times_fewer_epochs_1"] == pytest.approx(400 / 70, abs=0.01)
    assert found["accuracy_0_beats_scratch_full"] == "1 of 1"  # level counts, after all epochs
