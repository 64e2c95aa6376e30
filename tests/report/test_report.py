"""Pictures and progress."""

import random
import xml.etree.ElementTree

import pytest

from nasengine.errors import ConfigError
from nasengine.report.cell_drawing import draw_cells
from nasengine.report.progress import BarProgress, LineProgress, make_progress, summary_of
from nasengine.report.run_picture import draw_run
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201


@pytest.mark.parametrize("space", [DARTS, NASBENCH201], ids=lambda space: space.name)
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_cells_are_drawn(tmp_path, space, suffix):
    path = tmp_path / f"cell{suffix}"
    draw_cells(space.topology, space.sample(random.Random(0)).genotype, path, title="title")
    content = path.read_bytes()
    if suffix == ".png":
        assert content.startswith(b"\x89PNG")
    else:
        assert xml.etree.ElementTree.fromstring(content).tag.endswith("svg")


def test_unknown_types_of_pictures_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cell.gif: expected a name that ends in .png, .svg, .pdf"):
        draw_cells(DARTS.topology, DARTS.sample(random.Random(0)).genotype, tmp_path / "cell.gif", title="")


@pytest.mark.parametrize("decided", [True, False])
@pytest.mark.parametrize("by", ["gradient-matching", "random", None])
def test_runs_are_drawn(tmp_path, decided, by):
    decision = {"kind": "cell", "edge": [0, 1], "kept": "none", "damage_without": {"none": 0.2, "skip_connect": 0.1}}
    task = "selection-leaf0" if by else "selection"
    events = [
        {"event": "step", "task": "supernet", "metrics": {"loss": 1.0}},
        {"event": "step", "task": "supernet", "metrics": {"splits": []}},
        {"event": "step", "task": task, "metrics": {"decisions": [decision] if decided else []}},
    ]
    genotype = NASBENCH201.format(NASBENCH201.sample(random.Random(0)))
    split = {"edge": ["cell", 4], "groups": [["none", "skip_connect"], ["avg_pool_3x3"]]}
    measured = {
        "candidates": ["none", "skip_connect", "avg_pool_3x3"], "values": {"cell 4": 0.9}, "num_batches": {"cell 4": 6},
        "distance": [[0.0, 0.4, 1.0], [0.4, 0.0, 1.1], [1.0, 1.1, 0.0]],
    }  # fmt: skip
    leaf = {"leaf": 0, "genotype": genotype, "validation_accuracy": 0.8, "oracle_test_accuracy": 0.79}
    parts = [split | measured if by == "gradient-matching" else split] * 9
    summary = {
        "space": "nasbench201", "data": {"name": "digits"}, "settings": {"budget": "quick", "seed": 0}, "seconds": 3.0,
        "winner": {"genotype": genotype, "test_accuracy": 0.9}, "random_baseline": {"test_accuracy": 0.8},
        "splits": [{"level": 0, "parts": parts}] if by else [], "leaves": [leaf] if by else [],
        "failed_leaves": {"1": "diverged"} if by else {},
    }  # fmt: skip
    draw_run(events, NASBENCH201, summary, tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 10_000


def test_lines_tell_progress_and_time_left(capsys):
    progress = LineProgress()
    progress.start()
    progress.begin("winner", 4, 2)
    progress.advance("winner", 2, {"loss": 0.5})
    progress.advance("winner", 3, {"loss": 0.25})
    progress.stop()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "winner: 2 of 4 done already"
    assert lines[-1].startswith("winner: 4/4, ")
    assert lines[-1].endswith("loss 0.25")


def test_bars_run_and_lines_are_the_default_without_a_terminal(capsys):
    bars = BarProgress()
    bars.start()
    bars.begin("winner", 2, 0)
    bars.advance("winner", 0, {"loss": 0.5})
    bars.stop()
    assert "winner" in capsys.readouterr().err
    assert isinstance(make_progress(), LineProgress)


def test_decisions_are_summed_up():
    decisions = [{"kind": "normal", "edge": [0, 2], "kept": "none"}, {"kind": "reduce", "node": 3, "kept": [0, 1]}]
    assert summary_of({"decisions": decisions}) == "normal [0, 2]: none, reduce 3: [0, 1]"
