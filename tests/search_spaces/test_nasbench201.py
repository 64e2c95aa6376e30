"""NAS-Bench-201 against the benchmark's own table."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from nasengine.errors import GenotypeError
from nasengine.graph import cost, tabled_flops
from search_spaces.nasbench201 import NASBENCH201

GOLDEN = Path(__file__).parent / "nasbench201_golden.csv"


def disagreements(rows: list[dict[str, str]]) -> list[str]:
    """Rows whose parameters or operations differ from ours in any of the six digits that the table prints."""
    wrong = []
    for row in rows:
        graph = NASBENCH201.to_graph(NASBENCH201.parse(row["arch"]), NASBENCH201.defaults)
        ours = (cost(graph).num_parameters, tabled_flops(graph))
        if any(
            float(f"{mine / 1e6:.6g}") != float(row[key]) for mine, key in zip(ours, ("params", "flops"), strict=True)
        ):
            wrong.append(row["arch"])
    return wrong


def test_fifty_rows_of_the_table():
    with GOLDEN.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 50
    assert disagreements(rows) == []


@pytest.mark.slow
@pytest.mark.benchmark_data
def test_all_rows_of_the_table(benchmark_table):
    rows = benchmark_table("nasbench201_proxies")
    assert len(rows) == 9_445
    assert disagreements(rows) == []


def test_macs_leave_out_what_the_table_adds():
    """The benchmark's paper reports 7.78 M for cells without convolutions (its table 1 and API)."""
    empty = NASBENCH201.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    graph = NASBENCH201.to_graph(empty, NASBENCH201.defaults)
    assert cost(graph).macs == 7_783_040
    assert tabled_flops(graph) - cost(graph).macs == 160_832


def test_supernet_has_the_released_size():
    """1,686,106 weights at 16 channels and 5 cells a stage (method sheet, measured on the released code)."""
    supergraph = NASBENCH201.supergraph(replace(NASBENCH201.defaults, searching=True))
    assert cost(supergraph.resolve(supergraph.everything())).num_parameters == 1_686_106


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected 3 groups"),
        ("|none~0|+|none~0|none~1|", "expected 3 groups"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|", r"node 3: expected 3 different inputs, got \[0, 1\]"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", r"node 2: expected 2 different inputs, got \[0, 0\]"),
        ("|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|", "edge 0->1: expected one of none, skip_connect"),
        ("|none|+|none~0|none~1|+|none~0|none~1|none~2|", "node 1: expected operation~source, got 'none'"),
        ("|none~2|+|none~0|none~1|+|none~0|none~1|none~2|", "edge 2->1: expected an edge"),
    ],
)
def test_bad_text_is_refused(text, message):
    with pytest.raises(GenotypeError, match=message):
        NASBENCH201.parse(text)
