"""``nasengine score`` and ``nasengine predictor`` as users type them."""

import csv
import json
import random

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from cli import app
from nasengine.assembly import load_predictor
from nasengine.errors import ConfigError
from nasengine.graph import cost
from nasengine.pipeline.prediction import rank_pool
from search_spaces.nasbench_macro import NASBENCH_MACRO

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"


def call(*arguments: str):
    return CliRunner().invoke(app, list(map(str, arguments)))


def table_of(path, genotypes, labels, header=("arch", "accuracy")):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(zip(genotypes, labels, strict=True))
    return path


def results(count, seed=0):
    """Genotypes of NAS-Bench-Macro, larger ones being better."""
    rng = random.Random(seed)
    found = list(dict.fromkeys(NASBENCH_MACRO.format(NASBENCH_MACRO.sample(rng)) for _ in range(count)))
    sizes = [cost(NASBENCH_MACRO.to_graph(NASBENCH_MACRO.parse(text), NASBENCH_MACRO.defaults)).macs for text in found]
    return found, [0.8 + size / max(sizes) / 10 for size in sizes]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictor")
    table_of(folder / "mine.csv", *results(40))
    answer = call(
        "predictor", "fit", folder / "mine.csv", "--space", "nasbench_macro", "--out", folder / "p.safetensors"
    )
    assert answer.exit_code == 0, answer.output
    assert "tau on labels left out" in answer.stdout
    return folder / "p.safetensors"


@pytest.mark.filterwarnings("ignore")  # of the exporter, about torch itself
def test_an_onnx_file_from_elsewhere(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    torch.onnx.export(network.eval(), (torch.randn(1, 3, 32, 32),), tmp_path / "net.onnx", dynamo=False)
    answer = call("score", tmp_path / "net.onnx", "--json")
    assert answer.exit_code == 0, answer.output
    (row,) = json.loads(answer.stdout)["networks"]
    assert 0 <= row["score"] <= 1
    assert row["std"] > 0.1  # far smaller than all that is known
    assert row["num_parameters"] == 8 * 28 + 90
    assert row["warnings"] == []


def test_genotypes_are_ranked_in_their_space():
    weak = "|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|"
    answer = call("score", weak, CELL, "--space", "nasbench201", "--compare-with", "40", "--json")
    assert answer.exit_code == 0, answer.output
    content = json.loads(answer.stdout)
    scores = [row["score"] for row in content["networks"]]
    assert scores[0] < scores[1]
    assert content["among"] == "40 random networks of nasbench201"
    assert "rank" in call("score", CELL, "--space", "nasbench201").stdout


def test_a_predictor_of_ones_own_results(fitted, tmp_path):
    table_of(tmp_path / "others.csv", *results(40, seed=9))
    answer = call(
        "predictor", "evaluate", tmp_path / "others.csv", "--space", "nasbench_macro", "--predictor", fitted, "--json"
    )
    assert answer.exit_code == 0, answer.output
    content = json.loads(answer.stdout)
    assert content["kendall_tau"] > 0.7
    assert content["mean_absolute_error"] < 0.05
    scored = json.loads(call("score", "22222222", "--space", "nasbench_macro", "--predictor", fitted, "--json").stdout)
    assert scored["networks"][0]["rank"] <= 4


def test_a_predictor_that_was_fitted_has_a_card(fitted):
    card = json.loads(fitted.with_suffix(".json").read_text())
    assert card["labels"] == len(results(40)[0])
    assert card["source"] == {
        "table": "mine.csv", "network": "arch", "label": "accuracy", "space": "nasbench_macro",
        "begun_with": "the shipped predictor",
    }  # fmt: skip
    assert sum(card["weights"].values()) == pytest.approx(1, abs=0.01)
    assert card["bytes"] == fitted.stat().st_size


def test_a_search_ranks_its_pool_by_a_fitted_predictor(fitted):
    config = NASBENCH_MACRO.defaults
    largest, smallest = NASBENCH_MACRO.parse("22222222"), NASBENCH_MACRO.parse("00000000")
    ranked = rank_pool(
        NASBENCH_MACRO, config, load_predictor(str(fitted)), proposals=[smallest, largest], pool_size=30, seed=0
    )
    order = [entry.architecture for entry in ranked]
    assert order.index(largest) < 4
    assert order.index(smallest) > 20
    assert 0.8 < ranked[-1].mean < ranked[0].mean < 1  # in the unit of its labels, which needs no pool
    with pytest.raises(ConfigError, match="missing.safetensors"):
        load_predictor("missing.safetensors")
    with pytest.raises(ConfigError, match="expected one that predicts before it is fitted"):
        load_predictor("cost_regression")


def test_an_existing_file_is_not_overwritten(fitted, tmp_path):
    before = fitted.read_bytes()
    table_of(tmp_path / "mine.csv", *results(20))
    answer = call("predictor", "fit", tmp_path / "mine.csv", "--space", "nasbench_macro", "--out", fitted)
    assert answer.exit_code == 2
    assert "expected a new file" in answer.stderr
    assert fitted.read_bytes() == before


TWICE = ["00000000", "00000001", "00000000"]


@pytest.mark.parametrize(("genotypes", "labels", "message"), [
    (["00000000"] * 1, [0.9], "at least 10 networks"),
    (["00000000", "11111111"], [0.9, "nan"], "line 3, column accuracy: expected a finite number, got 'nan'"),
    (["00000000", "11111111"], [0.9, ""], "line 3, column accuracy: expected a finite number, got ''"),
    (TWICE, [0.9, 0.8, 0.7], "line 4: expected one label for each network, got 0.7 for a network that has 0.9"),
    (["00000000", "9"], [0.9, 0.8], "line 3, column arch"),
])  # fmt: skip
def test_tables_that_cannot_be_learned_from(tmp_path, genotypes, labels, message):
    path = table_of(tmp_path / "mine.csv", genotypes, labels)
    answer = call("predictor", "fit", path, "--space", "nasbench_macro", "--out", tmp_path / "p.safetensors")
    assert answer.exit_code == 2
    assert message in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "p.safetensors").exists()


@pytest.mark.parametrize(("name", "content", "message"), [
    ("mine.csv.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03garbage", "expected a table of comma-separated values"),
    ("mine.csv", b"arch;accuracy\n00000000;0.9\n", "expected columns arch, accuracy"),
    ("mine.csv", b"", "expected columns arch, accuracy"),
    ("mine.csv", b"arch,accuracy\n", "expected rows, got none"),
    ("mine.csv", b"\xef\xbb\xbfarch,accuracy\n00000000,0.9\n", "at least 10 networks"),  # as some programs write it
])  # fmt: skip
def test_files_that_are_no_tables(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    answer = call("predictor", "fit", tmp_path / name, "--space", "nasbench_macro", "--out", tmp_path / "p.safetensors")
    assert answer.exit_code == 2
    assert message in answer.stderr


def test_a_family_that_is_too_small_leaves_nothing_behind(tmp_path):
    table_of(tmp_path / "a.csv", *results(12))
    labels = f"nasbench_macro={tmp_path / 'a.csv'}:arch:accuracy"
    answer = call("predictor", "pretrain", "--labels", labels, "--out", tmp_path / "run")
    assert answer.exit_code == 2
    assert "at least 20 networks" in answer.stderr
    assert not (tmp_path / "run").exists()


def test_labels_that_are_all_equal_cannot_be_evaluated(tmp_path):
    table_of(tmp_path / "same.csv", ["00000000", "11111111"], [0.9, 0.9])
    answer = call("predictor", "evaluate", tmp_path / "same.csv", "--space", "nasbench_macro", "--json")
    assert answer.exit_code == 2
    assert "expected labels that differ" in answer.stderr


@pytest.mark.parametrize(("arguments", "message"), [
    (("score", "nothing.onnx"), "nothing.onnx"),
    (("score", CELL), "or --space for a genotype"),
    (("score", CELL * 5), "or --space for a genotype"),
    (("score", "abc", "--space", "nasbench201"), "nasbench201 genotype"),
    (("score", CELL, "--space", "nasbench201", "--predictor", "missing.safetensors"), "missing.safetensors"),
    (("predictor", "fit", "missing.csv", "--out", "x.safetensors"), "missing.csv"),
    (("predictor", "pretrain", "--labels", "nasbench_macro"), "expected SPACE=FILE:NETWORK_COLUMN:LABEL_COLUMN"),
    (("predictor", "pretrain", "--out", "x"), "labels"),
])  # fmt: skip
def test_wrong_input_is_one_sentence(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = call(*arguments)
    assert answer.exit_code == 2
    assert message in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_pretraining_writes_a_predictor_and_its_card_and_resumes(tmp_path):
    for seed, name in enumerate(("a", "b")):
        table_of(tmp_path / f"{name}.csv", *results(60, seed=seed))
    settings = (
        "--labels", f"nasbench_macro={tmp_path / 'a.csv'}:arch:accuracy", "--spaces", "nasbench_macro",
        "--graphs", "12", "--epochs", "2", "--proxy-graphs", "2",
    )  # fmt: skip
    answer = call("predictor", "pretrain", *settings, "--out", tmp_path / "run")
    assert answer.exit_code == 0, answer.output
    card = json.loads((tmp_path / "run" / "predictor.json").read_text())
    assert card["labels"]["nasbench_macro"] == {"table": "a.csv", "column": "accuracy", "networks": len(results(60)[0])}
    assert card["bytes"] == (tmp_path / "run" / "predictor.safetensors").stat().st_size
    assert card["unlabelled"] == {"spaces": ["nasbench_macro"], "graphs_of_each": 12, "with_proxies": 2}
    assert 0 < card["fuzzy_clusters"]["entropy"] < 1
    before = (tmp_path / "run" / "predictor.safetensors").read_bytes()
    assert call("predictor", "pretrain", "--resume", tmp_path / "run").exit_code == 0
    assert (tmp_path / "run" / "predictor.safetensors").read_bytes() == before
    (tmp_path / "run" / "predictor.safetensors").write_bytes(before[:-1])  # damaged: made again
    assert call("predictor", "pretrain", "--resume", tmp_path / "run").exit_code == 0
    assert len((tmp_path / "run" / "predictor.safetensors").read_bytes()) == len(before)
    scored = call(
        "score", "22222222", "--space", "nasbench_macro", "--predictor", tmp_path / "run/predictor.safetensors"
    )
    assert scored.exit_code == 0, scored.output
