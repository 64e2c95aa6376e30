"""Inception against parameters counted by hand and modules written by hand, and its sizes."""

import itertools
import random
from collections import Counter
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError, GenotypeError
from nasengine.graph import GraphBuilder
from nasengine.network import GraphNetwork
from search_spaces.inception import INCEPTION, num_blocks
from search_spaces.inception_genotype import SEQUENCES as INCEPTION_SEQUENCES
from search_spaces.inception_genotype import inner_widths, width_units
from search_spaces.inception_network import DRAWINGS
from tests.search_spaces.counts_by_hand import assert_equal_with_equal_weights, parameters


def biased(inputs, outputs, window):
    """Convolution with bias, and batch norm."""
    return inputs * outputs * window + 3 * outputs


def inception_of(first="2:conv3x3", second="2:conv3x3"):
    """A network with these stages, and the plainest after them."""
    return f"{first}/{second}/2:conv3x3/2:conv3x3"


def inception_parameters(first, second):
    rest = sum(biased(i, o, 9) + biased(o, o, 9) for i, o in ((64, 128), (128, 256)))
    return biased(3, 32, 9) + first + second + rest + biased(256, 512, 9) + 512 * 10 + 10


FIRST_PARAMETERS = 2 * biased(32, 32, 9)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("conv3x3", biased(32, 64, 9) + biased(64, 64, 9)),
        ("conv5x5", biased(32, 64, 25) + biased(64, 64, 25)),
        ("inception_s3x3", biased(32, 64, 3) + 3 * biased(64, 64, 3)),
        ("inception_s5x5", biased(32, 64, 5) + 3 * biased(64, 64, 5)),
        ("inception_p3x3", 4 * biased(32, 32, 3) + 2 * biased(64, 32, 3)),
        ("inception_p5x5", 4 * biased(32, 32, 5) + 2 * biased(64, 32, 5)),
        ("depthwise3x3", 32 * 64 + 2 * biased(1, 64, 9)),
        ("depthwise5x5", 32 * 64 + 2 * biased(1, 64, 25)),
        ("conv3x3+conv1x1", biased(32, 64, 9) + biased(64, 64, 9) + 2 * biased(64, 64, 1)),
        ("double1x1+conv3x3", biased(32, 64, 1) + biased(64, 64, 1) + 2 * biased(64, 64, 1) + 2 * biased(64, 64, 9)),
        ("avgpool3x3+conv3x3", 2 * 32 + biased(32, 64, 9) + 2 * 64 + biased(64, 64, 9)),
        ("conv3x3+maxpool3x3", biased(32, 64, 9) + biased(64, 64, 9) + 2 * 2 * 64),
        ("conv3x3+conv3x3@half", biased(32, 32, 9) + biased(32, 64, 9) + biased(64, 32, 9) + biased(32, 64, 9)),
        ("conv1x1+conv3x3@double", biased(32, 128, 1) + 2 * biased(128, 64, 9) + biased(64, 128, 1)),
    ],
)
def test_inception_parameters_of_one_path(path, expected):
    found = parameters(INCEPTION, inception_of(second=f"2:{path}"))
    assert found == inception_parameters(FIRST_PARAMETERS, expected)


def test_inception_parameters_of_three_paths():
    """Widths of 32, 16 and 16 add up to the stage's 64; the first is 16 wide inside, the last 32."""
    text = "2:conv3x3+conv3x3@half@wide,conv3x3+conv5x5,conv5x5+conv3x3@double"
    paths = [
        biased(i, 16, 9) + biased(16, 32, 9) + biased(i, 16, 9) + biased(16, 16, 25) + biased(i, 32, 25)
        + biased(32, 16, 9)
        for i in (32, 64)
    ]  # fmt: skip
    found = parameters(INCEPTION, inception_of(second=text))
    assert found == inception_parameters(FIRST_PARAMETERS, sum(paths))


def test_inception_parameters_of_four_narrow_paths():
    """Four paths of the least width, 16, are projected from 64 to the first stage's 32."""
    text = "3:" + ",".join(["conv3x3+conv3x3"] * 4)
    block = 4 * (biased(32, 16, 9) + biased(16, 16, 9)) + biased(64, 32, 1)
    second = biased(32, 64, 9) + biased(64, 64, 9)
    assert parameters(INCEPTION, inception_of(first=text)) == inception_parameters(3 * block, second)


def test_inception_strides_and_sums():
    graph = INCEPTION.to_graph(INCEPTION.parse("2:conv3x3/3:conv3x3/6:conv3x3/2:conv3x3"), INCEPTION.defaults)
    shapes = dict(zip(graph.names, (operation.output_shape for operation in graph.operations), strict=True))
    sums = [name for name in graph.names if name.endswith("/sum")]
    assert Counter(name.split("/")[1] for name in sums) == {"0": 2, "1": 2, "2": 5, "3": 1}
    last = [shapes[f"stages/{stage}/blocks/1/sum"] for stage in range(4)]
    assert last == [(32, 32, 32), (64, 16, 16), (128, 8, 8), (256, 4, 4)]


class HandWrittenParallel(nn.Module):
    """inception_p of stride 2 with the activations as the paper's code has them."""

    def __init__(self):
        super().__init__()
        self.row = nn.Conv2d(4, 3, (1, 3), (1, 2), (0, 1))
        self.row_norm = nn.BatchNorm2d(3)
        self.row_crossed = nn.Conv2d(3, 3, (3, 1), (2, 1), (1, 0))
        self.row_crossed_norm = nn.BatchNorm2d(3)
        self.column = nn.Conv2d(4, 3, (3, 1), (2, 1), (1, 0))
        self.column_norm = nn.BatchNorm2d(3)
        self.column_crossed = nn.Conv2d(3, 3, (1, 3), (1, 2), (0, 1))
        self.column_crossed_norm = nn.BatchNorm2d(3)

    def forward(self, x):
        row = self.row_crossed_norm(self.row_crossed(self.row_norm(self.row(x))))
        column = self.column_crossed_norm(self.column_crossed(self.column_norm(self.column(x))))
        return F.relu6(torch.cat([F.relu6(row), F.relu6(column)], dim=1))


def drawn(operation, width, stride):
    builder = GraphBuilder()
    image = builder.input((4, 9, 8))
    return GraphNetwork(builder.build(DRAWINGS[operation](builder, image, "one", width=width, stride=stride)))


def test_parallel_operation_computes_what_a_hand_written_module_does():
    images = 50 * torch.rand(2, 4, 9, 8)
    assert_equal_with_equal_weights(drawn("inception_p3x3", 6, 2), HandWrittenParallel(), images)


def test_factorized_operation_strides_along_one_axis_at_a_time():
    theirs = nn.Sequential(
        nn.Conv2d(4, 6, (1, 5), (1, 2), (0, 2)), nn.BatchNorm2d(6), nn.ReLU6(),
        nn.Conv2d(6, 6, (5, 1), (2, 1), (2, 0)), nn.BatchNorm2d(6), nn.ReLU6(),
    )  # fmt: skip
    assert_equal_with_equal_weights(drawn("inception_s5x5", 6, 2), theirs, 50 * torch.rand(2, 4, 9, 8))


def test_inception_samples_obey_the_rules():
    rng = random.Random(0)
    seen = Counter()
    most, fewest = {1: 3, 2: 4, 3: 8, 4: 10}, {1: 1, 2: 1, 3: 2, 4: 2}
    for _ in range(500):
        for stage in INCEPTION.sample(rng).genotype:
            lengths = [len(path.operations) for path in stage.paths]
            seen[len(lengths)] += 1
            assert 2 <= stage.repeats <= 6
            assert sum(lengths) <= most[len(lengths)]
            assert min(lengths) >= fewest[len(lengths)]
            for path in stage.paths:
                seen[path.internal] += 1
                supporting = [name for name in path.operations if "1x1" in name or "pool" in name]
                assert len(supporting) <= min(1, len(path.operations) - 1)
                changing = [name for name in path.operations if "pool" not in name]
                assert path.internal == "same" or len(changing) > 1
    assert set(seen) == {1, 2, 3, 4, "half", "same", "double"}


def test_inception_mutations_change_one_thing():
    rng = random.Random(0)
    architecture = INCEPTION.sample(rng)
    num_paths = set()
    for _ in range(300):
        child = INCEPTION.mutate(architecture, rng)
        ((old, new),) = (pair for pair in zip(architecture.genotype, child.genotype, strict=True) if pair[0] != pair[1])
        assert (old.repeats != new.repeats) + (old.paths != new.paths) == 1
        operations = [Counter(path.operations for path in stage.paths) for stage in (old, new)]
        assert max((operations[0] - operations[1]).total(), (operations[1] - operations[0]).total()) <= 1
        num_paths.add(len(new.paths))
        architecture = child
    assert num_paths == {1, 2, 3, 4}


def test_inception_sizes_are_counted_right():
    """One path of 64 channels and two of 16, by hand: a path with two changing operations has several inner widths."""
    sequences = {1: 8, 2: 8**2 + 2 * 8 * 4, 3: 8**3 + 3 * 8**2 * 4}
    with_pool = 2 * 8 * 2
    assert num_blocks(1, 1) == 8 + (sequences[2] - with_pool) * 3 + with_pool + sequences[3] * 3
    two, three = (sequences[2] - with_pool) * 2 + with_pool, sequences[3] * 2
    assert num_blocks(0, 2) == 8 * 9 // 2 + 8 * two + 8 * three + two * (two + 1) // 2


def test_inception_sizes_agree_with_a_listing():
    """Blocks of two paths in the second stage, whose widths are 32, listed by brute force."""
    units = width_units(1, 2, False)
    num_paths = Counter()
    for length in (1, 2, 3):
        for operations in itertools.product(INCEPTION_SEQUENCES.main + INCEPTION_SEQUENCES.supporting, repeat=length):
            if INCEPTION_SEQUENCES.fault(operations) is None:
                num_paths[length] += len(inner_widths(operations, units))
    pairs = num_paths[1] * (num_paths[1] + 1) // 2 + num_paths[1] * (num_paths[2] + num_paths[3])
    assert num_blocks(1, 2) == pairs + num_paths[2] * (num_paths[2] + 1) // 2
    assert INCEPTION.size > 10**48


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2:conv3x3", "expected 4 stages with / between them, such as .*, got 1"),
        ("", "stage 0: expected 2 to 6 blocks and a colon at its start, got ''"),
        (inception_of("7:conv3x3"), "stage 0: expected 2 to 6 blocks and a colon at its start, got '7:conv3x3'"),
        (inception_of("conv3x3"), "stage 0: expected 2 to 6 blocks and a colon"),
        (inception_of(second="2:conv7x7"), "stage 1, path 'conv7x7': expected operations among .*, got 'conv7x7'"),
        (inception_of(second="2:conv1x1"), "stage 1, path 'conv1x1': expected one of conv3x3, .*, got conv1x1"),
        (inception_of(second="2:conv3x3@half"), "expected an inner width among same, got 'half'"),
        (inception_of("2:conv3x3+conv3x3@half,conv3x3"), "expected an inner width among same, double, got 'half'"),
        (inception_of(second="2:conv3x3@wide@half"), "expected a path to end with nothing, @half or @double, and then"),
        (inception_of("2:conv3x3@wide"), "stage 0: expected 0 paths to be @wide, got 1"),
        (inception_of(second="2:" + ",".join(["conv3x3+conv3x3"] * 3)), "stage 1: expected 1 paths to be @wide, got 0"),
        (inception_of("2:" + ",".join(["conv3x3"] * 3)), "stage 0, path 'conv3x3': expected at least 2 operations"),
        (inception_of("2:" + ",".join(["conv3x3"] * 5)), "stage 0: expected 1 to 4 paths, got 5"),
        (inception_of("2:conv3x3+conv3x3+conv3x3+conv3x3"), "stage 0: expected at most 3 operations .*, got 4"),
    ],
)
def test_bad_inception_texts_are_refused(text, message):
    with pytest.raises(GenotypeError, match=f"inception genotype, .*{message}"):
        INCEPTION.parse(text)


def test_bad_inception_values_are_refused():
    with pytest.raises(GenotypeError, match="expected a tuple of stages"):
        INCEPTION.validate(Architecture("inception", ("z",) * 4))
    first, *others = INCEPTION.parse(inception_of("2:conv3x3,conv5x5")).genotype
    swapped = replace(first, paths=first.paths[::-1])
    with pytest.raises(GenotypeError, match="stage 0: expected sorted paths"):
        INCEPTION.validate(Architecture("inception", (swapped, *others)))


def test_inception_refuses_widths_that_cannot_be_split():
    with pytest.raises(ConfigError, match="channels: inception expects at least 4, got 3"):
        INCEPTION.to_graph(INCEPTION.parse(inception_of()), replace(INCEPTION.defaults, channels=3))
