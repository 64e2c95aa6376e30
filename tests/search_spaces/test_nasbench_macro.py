"""NAS-Bench-Macro against counts by hand and the benchmark's table."""

import pytest

from nasengine.errors import GenotypeError
from nasengine.graph import cost
from search_spaces.nasbench_macro import NASBENCH_MACRO


def test_identities_by_hand():
    """Stem, three 1x1 convolutions where the shape changes, head; each with its batch norm."""
    graph = NASBENCH_MACRO.to_graph(NASBENCH_MACRO.parse("00000000"), NASBENCH_MACRO.defaults)
    pairs = [(32, 64), (64, 128), (128, 256), (256, 1280)]
    convs = 3 * 32 * 9 + 2 * 32 + sum(before * after + 2 * after for before, after in pairs)
    assert cost(graph).num_parameters == convs + 1280 * 10 + 10 == 387_882
    sizes = [32, 16, 8, 4]
    macs = 3 * 32 * 9 * 32 * 32 + sum(
        before * after * size * size for (before, after), size in zip(pairs, [*sizes[1:], 4], strict=True)
    )
    assert cost(graph).macs == macs + 1280 * 10 == 7_713_280


def test_an_inverted_residual_by_hand():
    """The last layer as kernel 5, expansion 6, at 256 channels on 4x4 pixels."""
    first, last = (
        NASBENCH_MACRO.to_graph(NASBENCH_MACRO.parse(t), NASBENCH_MACRO.defaults) for t in ("0" * 8, "00000002")
    )
    wide = 256 * 6
    more = 256 * wide + 2 * wide + wide * 25 + 2 * wide + wide * 256 + 2 * 256
    assert cost(last).num_parameters - cost(first).num_parameters == more == 1_219_370 - 387_882


@pytest.mark.parametrize(
    ("text", "message"),
    [("0000000", "expected 8 genes, got 7"), ("00000003", "gene 7: expected one of 0, 1, 2, got '3'")],
)
def test_wrong_texts(text, message):
    with pytest.raises(GenotypeError, match=message):
        NASBENCH_MACRO.parse(text)


@pytest.mark.slow
@pytest.mark.benchmark_data
def test_all_rows_of_the_table(benchmark_table):
    """Both columns: ``flops`` are multiply-accumulates here."""
    rows = benchmark_table("nasbench_macro")
    assert len(rows) == NASBENCH_MACRO.size == 6_561
    wrong = []
    for row in rows:
        counted = cost(NASBENCH_MACRO.to_graph(NASBENCH_MACRO.parse(row["arch"]), NASBENCH_MACRO.defaults))
        if (counted.num_parameters, counted.macs) != (int(row["params"]), int(row["flops"])):
            wrong.append(row["arch"])
    assert wrong == []
