"""Two-Path against parameters counted by hand, and its rules."""

import random
from collections import Counter

import pytest

from nasengine.architecture import Architecture
from nasengine.errors import GenotypeError
from search_spaces.two_path import TWO_PATH
from search_spaces.two_path_network import Block
from tests.search_spaces.counts_by_hand import conv, parameters

PATH_PARAMETERS = conv(32, 64, 9) + conv(64, 128, 9)
FRAME_PARAMETERS = conv(3, 32, 9) + conv(32, 32, 9) + conv(256, 512, 9) + 512 * 10 + 10


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("conv3x3", conv(32, 64, 9)),
        ("conv5x5", conv(32, 64, 25)),
        ("double3x3", conv(32, 32, 9) + conv(32, 64, 9)),
        ("bottleneck-r2-k3", conv(32, 16, 9) + conv(16, 64, 9)),
        ("bottleneck-r4-k3", conv(32, 8, 9) + conv(8, 64, 9)),
        ("bottleneck-e2-k3", conv(32, 64, 9) + conv(64, 64, 9)),
        ("inception_s3x3", conv(32, 64, 3) + conv(64, 64, 3)),
        ("inception_s5x5", conv(32, 64, 5) + conv(64, 64, 5)),
        ("conv3x3+conv1x1", conv(32, 64, 9) + conv(64, 64, 1)),
        ("conv1x1+conv3x3", conv(32, 32, 1) + conv(32, 64, 9)),
        ("conv3x3+bottleneck-r2-k1", conv(32, 64, 9) + conv(64, 32, 1) + conv(32, 64, 1)),
        ("bottleneck-e2-k1+conv3x3", conv(32, 64, 1) + conv(64, 32, 1) + conv(32, 64, 9)),
        ("conv3x3+avgpool3x3", conv(32, 64, 9) + 2 * 64),
        ("maxpool3x3+conv3x3+conv5x5", 2 * 32 + conv(32, 64, 9) + conv(64, 64, 25)),
    ],
)
def test_two_path_parameters(block, expected):
    text = f"{block}@2,conv3x3@2/conv3x3@2,conv3x3@2"
    assert parameters(TWO_PATH, text) == FRAME_PARAMETERS + PATH_PARAMETERS + expected + conv(64, 128, 9)


def test_two_path_size():
    sequences = 8 + (8**2 + 2 * 8 * 5) + (8**3 + 3 * 8**2 * 5)
    assert sequences == 1_624
    paths = sequences**2 + 3 * sequences**3 + 6 * sequences**4
    assert TWO_PATH.size == paths * (paths + 1) // 2 == 871_421_239_111_621_673_417_289_760


def test_two_path_samples_obey_the_rules():
    rng = random.Random(0)
    lengths = Counter()
    for _ in range(500):
        architecture = TWO_PATH.sample(rng)
        for path in architecture.genotype:
            lengths[len(path)] += 1
            assert 2 <= len(path) <= 4
            assert sum(block.reduces for block in path) == 2
            for block in path:
                assert 1 <= len(block.operations) <= 3
                pointwise = [name for name in block.operations if name.endswith("k1") or "pool" in name]
                pointwise += [name for name in block.operations if name == "conv1x1"]
                assert len(pointwise) <= min(1, len(block.operations) - 1)
        check_two_path_shapes(TWO_PATH.to_graph(architecture, TWO_PATH.defaults))
    assert set(lengths) == {2, 3, 4}


def check_two_path_shapes(graph):
    (concat,) = (index for index, name in enumerate(graph.names) if name == "head/concat")
    assert graph.operations[concat].input_shapes == ((128, 4, 4), (128, 4, 4))
    for path in (0, 1):
        strides = [
            operation.stride
            for operation, name in zip(graph.operations, graph.names, strict=True)
            if name.startswith(f"paths/{path}/") and operation.stride != (1, 1)
        ]
        assert strides == [(2, 2), (2, 2)]


def test_two_path_adds_the_input_where_the_shape_stays():
    graph = TWO_PATH.to_graph(TWO_PATH.parse("conv3x3@2,conv3x3@2/conv3x3@2,conv5x5,conv3x3@2"), TWO_PATH.defaults)
    (addition,) = (index for index, operation in enumerate(graph.operations) if operation.kind == "add")
    names = [graph.names[source] for source in graph.inputs[addition]]
    assert [name.rsplit("/", 1)[0] for name in names] == ["paths/1/blocks/1/0", "paths/1/blocks/0/0"]


def test_the_order_of_two_paths_means_nothing():
    first = TWO_PATH.parse("double3x3@2,conv3x3@2/conv3x3@2,conv3x3@2")
    assert first == TWO_PATH.parse(" conv3x3@2, conv3x3@2 / double3x3@2 , conv3x3@2")
    assert TWO_PATH.format(first) == "conv3x3@2,conv3x3@2/double3x3@2,conv3x3@2"


def test_two_path_mutations_change_one_path():
    rng = random.Random(0)
    architecture = TWO_PATH.sample(rng)
    lengths = set()
    for _ in range(200):
        child = TWO_PATH.mutate(architecture, rng)
        assert (Counter(architecture.genotype) & Counter(child.genotype)).total() == 1
        lengths.update(map(len, child.genotype))
        architecture = child
    assert lengths == {2, 3, 4}


def test_two_path_children_have_blocks_of_their_parents():
    rng = random.Random(0)
    for _ in range(50):
        parents = TWO_PATH.sample(rng), TWO_PATH.sample(rng)
        inherited = {block.operations for parent in parents for path in parent.genotype for block in path}
        child = TWO_PATH.crossover(*parents, rng)
        assert {block.operations for path in child.genotype for block in path} <= inherited


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected 2 paths with / between them, such as .*, got 1"),
        ("conv3x3@2,conv3x3@2", "expected 2 paths"),
        ("conv3x3@2/conv3x3@2,conv3x3@2", "path 'conv3x3@2': expected 2 to 4 blocks, got 1"),
        ("conv3x3@2,conv3x3/conv3x3@2,conv3x3@2", "expected 2 blocks of stride 2 (@2), got 1"),
        ("conv3x3@3,conv3x3@2/conv3x3@2,conv3x3@2", "block 'conv3x3@3': expected nothing or @2 after the operations"),
        ("conv7x7@2,conv3x3@2/conv3x3@2,conv3x3@2", "block 0: expected operations among conv3x3, .*, got 'conv7x7'"),
        ("conv3x3@2,@2/conv3x3@2,conv3x3@2", "block 1: expected operations among"),
        ("conv3x3@2,conv1x1@2/conv3x3@2,conv3x3@2", "block 1: expected one of conv3x3, .*, got conv1x1"),
        (
            "conv3x3@2,conv1x1+conv3x3+avgpool3x3@2/conv3x3@2,conv3x3@2",
            "block 1: expected at most one of conv1x1, .*, got 2",
        ),
        ("conv3x3@2,conv3x3+conv3x3+conv3x3+conv3x3@2/conv3x3@2,conv3x3@2", "block 1: expected 1 to 3 operations"),
    ],
)
def test_bad_two_path_texts_are_refused(text, message):
    with pytest.raises(GenotypeError, match="two_path genotype, .*" + message.replace("(@2)", r"\(@2\)")):
        TWO_PATH.parse(text)


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        (("z",), "expected a tuple of tuples of blocks"),
        ((("z", "z"),) * 2, "expected a tuple of tuples of blocks"),
        (
            ((Block(("double3x3",), True),) * 2, (Block(("conv3x3",), True),) * 2),
            "expected sorted paths, got them in another order",
        ),
    ],
)
def test_bad_two_path_values_are_refused(genotype, message):
    with pytest.raises(GenotypeError, match=message):
        TWO_PATH.validate(Architecture("two_path", genotype))
