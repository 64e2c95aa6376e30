"""NAS-Bench-Macro against counts by hand and the benchmark's table."""

from dataclasses import replace

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


def repeated(genes, cells):
    return NASBENCH_MACRO.to_graph(NASBENCH_MACRO.parse(genes), replace(NASBENCH_MACRO.defaults, cells=cells))


def nodes_under(graph, prefix):
    """Operations by local name, without those of the layer's repeats."""
    nodes = {
        name.removeprefix(f"{prefix}/"): operation
        for name, operation in zip(graph.names, graph.operations, strict=True)
        if name.startswith(f"{prefix}/")
    }
    return {name: operation for name, operation in nodes.items() if not name.startswith("repeats/")}


def test_layers_that_keep_the_shape_are_repeated():
    """Layers 1, 3, 4, 6 and 7 keep it, of which 3 and 7 are identities here and stay nothing."""
    once, thrice = repeated("11202010", 1), repeated("11202010", 3)
    thrice.check()
    new = {name for name in thrice.names if name not in once.names}
    repeats = [f"layers/{layer}/repeats/{repeat}" for layer in (1, 4, 6) for repeat in (1, 2)]
    for name in repeats:
        layer = nodes_under(once, name.split("/repeats")[0])
        assert len(layer) == 9  # three convolutions and norms, two activations, the sum
        assert nodes_under(thrice, name) == layer
    assert new == {f"{name}/{local}" for name in repeats for local in nodes_under(thrice, name)}


def test_cost_of_repeats_by_hand():
    """Two more inverted residuals of kernel 3, expansion 3 at 64 channels on 16x16 pixels; none for other layers."""
    once, thrice = cost(repeated("01000000", 1)), cost(repeated("01000000", 3))
    wide = 3 * 64
    weights = 64 * wide + 9 * wide + wide * 64
    assert thrice.num_parameters - once.num_parameters == 2 * (weights + 2 * wide + 2 * wide + 2 * 64)
    assert thrice.macs - once.macs == 2 * weights * 16 * 16
    assert repeated("20200200", 5) == repeated("20200200", 1)  # all layers that keep the shape are identities


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
