"""DARTS cells: notation, published counts, bad text."""

import random
from dataclasses import replace

import pytest

from nasengine.errors import GenotypeError
from nasengine.graph import cost
from nasengine.network import GraphNetwork
from search_spaces.darts import DARTS, S1, S4, SPACES

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


def test_published_cell_has_its_published_size():
    """Liu et al., 2019, table 1: 3.3 million parameters (second order), without the auxiliary classifier."""
    graph = DARTS.to_graph(DARTS.parse(DARTS_V2), DARTS.defaults)
    assert cost(graph).num_parameters == 3_349_342


def test_imagenet_counts_are_published_ones():
    """The released second-order cell at 48 channels, 14 cells: 4.7 M parameters, 574 M multiply-adds (table 3).

    The ImageNet network has another stem; the cells alone must stay below the total.
    """
    config = replace(DARTS.defaults, channels=48, cells=14, image_shape=(3, 28, 28), num_classes=1000)
    found = cost(DARTS.to_graph(DARTS.parse(DARTS_V2), config))
    assert 4.4e6 < found.num_parameters < 4.72e6


def test_supernet_of_seven_operations_has_the_released_size():
    """1,930,618 weights at 16 channels and 8 cells (method sheet, measured on the released code)."""
    config = replace(DARTS.defaults, channels=16, cells=8, searching=True)
    supergraph = DARTS.supergraph(config)
    assert cost(supergraph.resolve(supergraph.everything())).num_parameters == 1_930_618


def test_text_is_read_in_both_styles_and_written_in_one():
    architecture = DARTS.parse(DARTS_V2)
    text = DARTS.format(architecture)
    assert "normal_concat=range(2, 6)" in text
    assert DARTS.parse(text) == architecture


def test_auxiliary_classifier_is_a_second_output_where_images_allow_it():
    config = replace(DARTS.defaults, channels=4, cells=6, auxiliary_head=True)
    graph = DARTS.to_graph(DARTS.sample(random.Random(0)), config)
    assert len(graph.outputs) == 2
    assert [graph.operations[output].output_shape for output in graph.outputs] == [(10,), (10,)]
    small = DARTS.to_graph(DARTS.sample(random.Random(0)), replace(config, image_shape=(1, 8, 8)))
    assert len(small.outputs) == 1


def test_odd_image_sizes_work():
    import torch

    config = replace(DARTS.defaults, channels=4, cells=6, image_shape=(3, 15, 11))
    network = GraphNetwork(DARTS.to_graph(DARTS.sample(random.Random(3)), config))
    assert network(torch.zeros(2, 3, 15, 11)).shape == (2, 10)


def test_none_is_searched_but_never_chosen():
    assert "none" in DARTS.topology.candidates["normal"][0]
    assert "none" not in DARTS.topology.selectable("normal", 0)
    with pytest.raises(GenotypeError, match="normal cell, edge 0->2: expected one of max_pool_3x3"):
        DARTS.parse(DARTS_V2.replace("('sep_conv_3x3', 0)", "('none', 0)", 1))


def test_reduced_spaces_keep_to_their_operations():
    assert set(SPACES) == {"darts", "darts_s1", "darts_s2", "darts_s3", "darts_s4"}
    assert {len(names) for kind in ("normal", "reduce") for names in S1.topology.candidates[kind]} == {2}
    assert S4.topology.candidates["normal"][0] == ("noise", "sep_conv_3x3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected Genotype"),
        ("Genotype(", "expected Genotype"),
        ("__import__('os').system('true')", "expected Genotype"),
        ("Genotype(normal=[], normal_concat=range(2, 6))", "its fields are normal, normal_concat"),
        (DARTS_V2.replace("[2, 3, 4, 5]", "[3, 4, 5]", 1), r"normal_concat: expected range\(2, 6\)"),
        (DARTS_V2.replace("('sep_conv_3x3', 0), ", "", 1), "normal cell: expected a list of 8"),
        (DARTS_V2.replace("'sep_conv_3x3', 0", "'sep_conv_3x3', '0'", 1), "normal cell, pair 0"),
        (DARTS_V2.replace("('sep_conv_3x3', 0)", "('sep_conv_9x9', 0)", 1), "normal cell, edge 0->2: expected one of"),
        (DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 7)", 1), "normal cell, edge 7->5"),
        ("(" * 5000, "expected Genotype"),
        ("x" * 20_000, "expected at most 10000 characters"),
    ],
)
def test_bad_text_is_refused(text, message):
    with pytest.raises(GenotypeError, match=message):
        DARTS.parse(text)
