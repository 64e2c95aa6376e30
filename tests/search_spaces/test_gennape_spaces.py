"""HiAML, Two-Path and Inception against parameters counted by hand and modules written by hand."""

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
from nasengine.graph import GraphBuilder, cost, fingerprint
from nasengine.network import GraphNetwork
from nasengine.testing import SearchSpaceContract, small_config
from search_spaces.hiaml import BLOCKS, HIAML
from search_spaces.inception import INCEPTION, num_blocks
from search_spaces.inception_genotype import SEQUENCES as INCEPTION_SEQUENCES
from search_spaces.inception_genotype import inner_widths, width_units
from search_spaces.inception_network import DRAWINGS
from search_spaces.operation_sequences import OperationSequences
from search_spaces.two_path import TWO_PATH
from search_spaces.two_path_network import Block


@pytest.mark.parametrize("found", [HIAML, TWO_PATH, INCEPTION], ids=lambda space: space.name)
class TestSpaces(SearchSpaceContract):
    @pytest.fixture
    def space(self, found):
        return found

    def test_texts_that_are_too_long_are_refused(self, space):
        with pytest.raises(GenotypeError, match=f"{space.name} genotype: expected at most 10000 characters, got 10001"):
            space.parse("+" * 10_001)

    def test_architectures_of_other_spaces_are_refused(self, space):
        with pytest.raises(GenotypeError, match=f"space {space.name}: expected one of its architectures"):
            space.validate(Architecture("other", ()))

    def test_mutations_change_the_network(self, space):
        rng = random.Random(1)
        architecture = space.sample(rng)
        for _ in range(20):
            child = space.mutate(architecture, rng)
            graphs = [space.to_graph(one, small_config(space)) for one in (architecture, child)]
            assert fingerprint(graphs[0]) != fingerprint(graphs[1])
            architecture = child


def parameters(space, text):
    """Learned values of the network at its published size."""
    return cost(space.to_graph(space.parse(text), space.defaults)).num_parameters


# HiAML


def conv(inputs, outputs, window):
    """Convolution without bias, and batch norm."""
    return inputs * outputs * window + 2 * outputs


def split(inputs, outputs):
    """1x3 and 3x1."""
    return conv(inputs, outputs, 3) + conv(outputs, outputs, 3)


def projection(inputs, outputs):
    return conv(inputs, outputs, 1) if inputs != outputs else 0


HIAML_COUNTS = {
    "z": lambda i, o: conv(i, o, 9) + split(o, o),
    "a22": lambda i, o: conv(i, o, 9) + 2 * conv(o, o, 1),
    "b23": lambda i, o: projection(i, o) + split(i, o) + split(o, o),
    "j30": lambda i, o: projection(i, o) + conv(i, o, 9) + split(o, o),
    "g30": lambda i, o: projection(i, o) + split(i, o) + split(o, o) + conv(o, o, 1),
    "r30": lambda i, o: 2 * projection(i, o) + split(i, o) + conv(o, o, 1) + split(o, o),
    "l20": lambda i, o: conv(i, o, 9) + conv(o, o, 1),
    "t20": lambda i, o: conv(i, o, 1) + split(i, o),
    "t31": lambda i, o: 2 * projection(i, o) + split(i, o) + conv(o, o, 1) + split(o, o),
    "src0": lambda i, o: conv(i, o, 1) + 2 * conv(o, o, 9),
    "src1": lambda i, o: conv(i, o, 1) + conv(i, i, 9) + conv(i, o, 9),
    "src3": lambda i, o: conv(i, o, 1) + conv(i, i, 1) + conv(i, o, 9) + conv(o, o, 1),
    "src7": lambda i, o: conv(i, o, 1) + 2 * split(o, o),
    "src8": lambda i, o: conv(i, o, 1) + split(o, o) + conv(o, o, 1),
}


def test_hiaml_has_38416_architectures():
    assert HIAML.size == 14**4 == 38_416
    assert set(BLOCKS) == set(HIAML_COUNTS)


@pytest.mark.parametrize("name", BLOCKS)
def test_hiaml_parameters(name):
    widths = [(64, 64), (64, 64), (64, 128), (128, 128), (128, 128), (128, 128), (128, 256), (256, 256)]
    blocks = sum(HIAML_COUNTS[name](*pair) for pair in widths)
    assert parameters(HIAML, ",".join([name] * 4)) == conv(3, 64, 9) + blocks + 256 * 10 + 10


@pytest.mark.parametrize("name", BLOCKS)
def test_hiaml_shapes(name):
    graph = HIAML.to_graph(HIAML.parse(",".join([name] * 4)), HIAML.defaults)
    shapes = dict(zip(graph.names, (operation.output_shape for operation in graph.operations), strict=True))
    expected = [(64, 16, 16), (128, 8, 8), (128, 8, 8), (256, 4, 4)]
    for block in (0, 1):
        assert [shapes[f"stages/{stage}/blocks/{block}/relu"] for stage in range(4)] == expected


def conv_norm(inputs, outputs, kernel, stride=1):
    pair = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = tuple(size // 2 for size in pair)
    return nn.Sequential(nn.Conv2d(inputs, outputs, pair, stride, padding, bias=False), nn.BatchNorm2d(outputs))


def split_conv(inputs, outputs, stride=1):
    first, second = conv_norm(inputs, outputs, (1, 3), stride), conv_norm(outputs, outputs, (3, 1))
    return nn.Sequential(first, nn.ReLU6(), second, nn.ReLU6())


def shortcut(inputs, outputs, stride):
    return nn.Identity() if inputs == outputs and stride == 1 else conv_norm(inputs, outputs, 1, stride)


class G30(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = split_conv(inputs, outputs, stride)
        self.shortcut = shortcut(inputs, outputs, stride)
        self.second = split_conv(outputs, outputs)
        self.third = conv_norm(outputs, outputs, 1)

    def forward(self, x):
        first = self.first(x)
        return F.relu(first + self.third(self.second(self.shortcut(x) + first)))


class R30(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = split_conv(inputs, outputs, stride)
        self.inner_shortcut = shortcut(inputs, outputs, stride)
        self.second = conv_norm(outputs, outputs, 1)
        self.outer_shortcut = shortcut(inputs, outputs, stride)
        self.third = split_conv(outputs, outputs)

    def forward(self, x):
        first = self.first(x)
        second = self.second(self.inner_shortcut(x) + first)
        return F.relu(self.outer_shortcut(x) + second + self.third(first))


class Src1(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.side = nn.Sequential(conv_norm(inputs, outputs, 1, stride), nn.ReLU6())
        self.narrow = nn.Sequential(conv_norm(inputs, inputs, 3), nn.ReLU6())
        self.end = conv_norm(inputs, outputs, 3, stride)

    def forward(self, x):
        return F.relu(self.side(x) + self.end(self.narrow(x)))


class T31(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = split_conv(inputs, outputs, stride)
        self.second = nn.Sequential(conv_norm(outputs, outputs, 1), nn.ReLU6())
        self.inner_shortcut = shortcut(inputs, outputs, stride)
        self.third = split_conv(outputs, outputs)
        self.outer_shortcut = shortcut(inputs, outputs, stride)

    def forward(self, x):
        second = self.second(self.first(x))
        return F.relu(self.outer_shortcut(x) + second + self.third(self.inner_shortcut(x) + second))


def hand_written_hiaml(block):
    """HiAML at 4 channels, with its parts in the order of the graph."""
    sizes = [(4, 4, 1), (4, 4, 1), (4, 8, 2), (8, 8, 1), (8, 8, 1), (8, 8, 1), (8, 16, 2), (16, 16, 1)]
    blocks = [block(*size) for size in sizes]
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    return nn.Sequential(conv_norm(3, 4, 3, 2), nn.ReLU(), *blocks, *head).eval()


def assert_equal_with_equal_weights(ours, theirs, images):
    """Gives random statistics to our batch norms and all of our weights to ``theirs``, in order."""
    generator = torch.Generator().manual_seed(0)
    for name, buffer in ours.named_buffers():
        if "running" in name:
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize(("name", "block"), [("g30", G30), ("r30", R30), ("src1", Src1), ("t31", T31)])
def test_hiaml_computes_what_hand_written_modules_do(name, block):
    config = replace(HIAML.defaults, channels=4, image_shape=(3, 16, 16))
    ours = HIAML.build(HIAML.parse(",".join([name] * 4)), config)
    assert_equal_with_equal_weights(ours, hand_written_hiaml(block), 50 * torch.rand(2, 3, 16, 16))


# Two-Path

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


# Inception


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


# Their operations


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_sequences_are_counted_right(length):
    rule = OperationSequences(main=("a", "b"), supporting=("x", "y", "z"))
    listed = [found for found in itertools.product("abxyz", repeat=length) if rule.fault(found) is None]
    assert rule.count(length) == len(listed)


def test_neighbours_differ_in_one_operation():
    rule = OperationSequences(main=("a", "b"), supporting=("x",))
    assert sorted(rule.neighbours(("a",))) == sorted([("b",), *((*"aa",), (*"ab",), (*"ba",), (*"ax",), (*"xa",))])
    assert ("x",) not in rule.neighbours(("a", "x"))
