"""The yardsticks: the reference computes what ours does, rows are kept, tables are read, bad input is refused."""

import gzip
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

import cli
from benchmarks.reference_supernet import reference_of
from benchmarks.results import ResultsFile
from benchmarks.search_quality import METHODS, OURS, REFERENCE, SCALES, run
from benchmarks.tables import Table, read_table
from nasengine import registry
from nasengine.errors import ConfigError
from nasengine.pipeline import SearchSettings
from nasengine.protocols import NetworkConfig
from nasengine.supernet import ArchitectureWeights, Supernet
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201

HEADER = "index,arch,cifar10_test_200ep,cifar100_test_12ep,imagenet16_120_test_12ep\n"
ARCH = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def write_table(path: Path, rows: str) -> Path:
    with gzip.open(path, "wt") as file:
        file.write(HEADER + rows)
    return path


@pytest.mark.parametrize(("space", "cells"), [(DARTS, 4), (NASBENCH201, 1)], ids=["darts", "nasbench201"])
def test_the_reference_computes_what_ours_does(space, cells):
    supernet = Supernet(space, NetworkConfig(5, (3, 8, 8), 4, cells, searching=True), seed=0).double()
    reference = reference_of(supernet).double()
    alphas = ArchitectureWeights(space.topology, seed=1).double()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 8, 8, generator=generator).double()
    labels = torch.arange(4)
    ours, theirs = supernet(images, alphas.mixture(detach=True)), reference(images, alphas.mean())
    torch.testing.assert_close(ours, theirs)
    mine = torch.autograd.grad(F.cross_entropy(ours, labels), list(supernet.parameters()), allow_unused=True)
    others = torch.autograd.grad(F.cross_entropy(theirs, labels), list(reference.parameters()), allow_unused=True)
    for left, right in zip(mine, others, strict=True):
        zero = torch.zeros(())
        torch.testing.assert_close(zero if left is None else left, zero if right is None else right, check_stride=False)


def test_finished_rows_are_kept_and_not_run_again(tmp_path):
    path = tmp_path / "folder" / "rows.jsonl"
    ResultsFile(path, ("method", "seed")).append({"method": "a", "seed": 0, "value": 1.5})
    again = ResultsFile(path, ("method", "seed"))
    assert again.find(method="a", seed=0, value=2) == {"method": "a", "seed": 0, "value": 1.5}
    assert again.find(method="a", seed=1) is None
    path.write_text("{broken\n")
    with pytest.raises(ConfigError, match="rows.jsonl, line 1: expected a JSON object, got '{broken'"):
        ResultsFile(path, ("method",))


def test_known_rows_of_a_search_come_from_the_file(tmp_path):
    results = ResultsFile(tmp_path / "rows.jsonl", ("benchmark", "method", "seed", "data", "threads"))
    row = {"benchmark": "search", "method": OURS, "seed": 3, "data": "tiny", "threads": 1, "table_test_accuracy": 90.0}
    results.append(row)

    class Tiny:
        name = "somewhere/tiny"

    table = Table({}, {})
    found = list(run(NASBENCH201, Tiny(), table, results, methods=[OURS], seeds=[3], minutes=1.0, threads=1))
    assert found == [row]
    with pytest.raises(ConfigError, match="--methods: expected some of .*got magic"):
        list(run(NASBENCH201, Tiny(), table, results, methods=["magic"], seeds=[3], minutes=1.0, threads=1))


def test_settings_of_all_methods_are_valid():
    for name, content in METHODS.items():
        read = SearchSettings.read({"space": "nasbench201", "data": "cifar10", **content}, name)
        assert content.items() <= read.model_dump().items()


def test_spaces_with_sizes_of_their_own_are_spaces_and_their_reference_is_a_method():
    for name, scale in SCALES.items():
        space = registry.load("search space", name)
        space.supergraph(NetworkConfig(10, (3, 32, 32), scale.supernet_channels, scale.supernet_cells, searching=True))
        assert REFERENCE[name] in METHODS


def test_tables_are_read(tmp_path):
    other = ARCH.replace("skip_connect", "none")
    table = read_table(write_table(tmp_path / "t.csv.gz", f"0,{ARCH},93.5,60,\n1,{other},94.0,,\n"))
    assert table.accuracy == {ARCH: 93.5, other: 94.0}
    assert table.information[ARCH] == {"cifar100_test_12ep": 60.0}
    assert table.rank(other) == 1
    assert table.rank(ARCH) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no gzip", "expected nasbench201.csv.gz, got"),
        (gzip.compress(b"a,b\n1,2\n"), "expected columns arch and cifar10_test_200ep"),
        (gzip.compress((HEADER + f"0,{ARCH},bad,,\n").encode()), "with numbers"),
        (gzip.compress(HEADER.encode()), "expected rows, got none"),
        (gzip.compress(HEADER.encode())[:-9], "expected nasbench201.csv.gz, got"),
    ],
    ids=["no-gzip", "columns", "not-a-number", "no-rows", "truncated"],  # bytes carry the time: workers would differ
)
def test_broken_tables_are_refused(tmp_path, content, message):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_table(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["supernet", "--space", "mnist"], "--space: expected one of darts, nasbench201, got 'mnist'"),
        (["supernet", "--batch", "eight"], "--batch: expected whole numbers with commas between them, got 'eight'"),
        (["supernet", "--batch", "1"], "--batch: expected 2 or more images, got 1"),
        (["search", "--table", "missing.csv.gz", "--data", "digits"], "table missing.csv.gz: expected"),
        (["search", "--table", "x", "--data", "digits", "--space", "darts"], "--space: expected nasbench201"),
        (["correlation", "--table", "missing.csv.gz", "--data", "nowhere"], "nowhere"),
        (["selection", "--data", "digits", "--criterion", "beauty"], "--criterion: expected accuracy or loss"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, message):
    result = CliRunner().invoke(cli.app, ["bench", *arguments, "--json"])
    assert result.exit_code == 2
    assert message in json.loads(result.stdout)["error"]
    assert result.stderr.count("\n") == 1


@pytest.mark.benchmark_data
def test_the_published_table_has_the_published_best(benchmark_folder):
    table = read_table(benchmark_folder / "nasbench201.csv.gz")
    assert len(table.accuracy) == 15_625
    assert max(table.accuracy.values()) == pytest.approx(94.3733)
