"""The networks of the Inception space (see inception.py): blocks of parallel paths, and their operations."""

from collections.abc import Callable
from functools import partial

from nasengine.errors import ConfigError
from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import NetworkConfig
from search_spaces.inception_genotype import (
    SEQUENCES,
    Path,
    Paths,
    Stages,
    changing_places,
    internal_units,
    width_units,
)
from search_spaces.pieces import classifier, conv_norm, factorized_conv, pool_norm

HEAD_FACTOR = 16
MIN_CHANNELS = 4


def inception_graph(stages: Stages, config: NetworkConfig) -> ComputationGraph:
    """Stem, stages and head. All convolutions have a bias, but for those that widen in front of depthwise ones.

    Raises:
        ConfigError: too few channels to be split among paths.
    """
    if config.channels < MIN_CHANNELS:
        raise ConfigError(f"channels: inception expects at least {MIN_CHANNELS}, got {config.channels}")
    builder = GraphBuilder()
    image = builder.input(config.image_shape)
    last = _conv(builder, image, "stem", width=config.channels, stride=1, kernel=3)
    for number, stage in enumerate(stages):
        for index in range(stage.repeats):
            block = _Block(builder, last, f"stages/{number}/blocks/{index}", stage=number, channels=config.channels)
            last = block.draw(stage.paths, stride=2 if number > 0 and index == 0 else 1)
    last = _conv(builder, last, "head", width=HEAD_FACTOR * config.channels, stride=1, kernel=3)
    return builder.build(classifier(builder, last, config.num_classes))


class _Block:
    """Draws one block; ``channels`` are the stem's."""

    def __init__(self, builder: GraphBuilder, source: int, name: str, *, stage: int, channels: int) -> None:
        self.builder, self.source, self.name = builder, source, name
        self.stage, self.channels = stage, channels

    def draw(self, paths: Paths, stride: int) -> int:
        """The paths, concatenated and projected where they are too wide, and the input where the shape stays."""
        ends = []
        for index, path in enumerate(paths):
            units = width_units(self.stage, len(paths), path.wide)
            ends.append(self._path(path, f"{self.name}/paths/{index}", units, stride))
        last = self.builder.add("concat", *ends, name=f"{self.name}/concat", axis=0) if len(ends) > 1 else ends[0]
        width = self.channels * 2**self.stage
        if self.builder.shape(last)[0] != width:
            last = conv_norm(self.builder, last, f"{self.name}/projection", width, 1, bias=True)
        if self.builder.shape(last) != self.builder.shape(self.source):
            return last
        return self.builder.add("add", last, self.source, name=f"{self.name}/sum")

    def _path(self, path: Path, name: str, units: int, stride: int) -> int:
        """The first main operation has the stride; the first and last changing ones set the widths."""
        last = self.source
        changing = changing_places(path.operations)
        strided = next(place for place, operation in enumerate(path.operations) if operation in SEQUENCES.main)
        for place, operation in enumerate(path.operations):
            width = self.builder.shape(last)[0]
            if place in (changing[0], changing[-1]):
                width = units if place == changing[-1] else internal_units(units, path.internal)
                width = width * self.channels // 2
            stride_here = stride if place == strided else 1
            last = DRAWINGS[operation](self.builder, last, f"{name}/{place}", width=width, stride=stride_here)
        return last


def _conv(builder: GraphBuilder, source: int, name: str, *, width: int, stride: int, kernel: int) -> int:
    return conv_norm(builder, source, name, width, kernel, stride=stride, bias=True, activation="relu6")


def _factorized(builder: GraphBuilder, source: int, name: str, *, width: int, stride: int, kernel: int) -> int:
    """1 x kernel, which halves the width of images, then kernel x 1, which halves their height."""
    return factorized_conv(builder, source, name, width, kernel, strides=((1, stride), (stride, 1)), bias=True)


def _parallel(builder: GraphBuilder, source: int, name: str, *, width: int, stride: int, kernel: int) -> int:
    """1 x kernel beside kernel x 1 with half of the channels each; at stride 2 the other one follows on either side.

    The paper's code applies ReLU6 on both sides and again to the concatenation; once at the end gives equal values.
    """
    row, column = ((1, kernel), (1, stride)), ((kernel, 1), (stride, 1))
    ends = []
    sides = {"row": (width // 2, row, column), "column": (width - width // 2, column, row)}
    for side, (channels, *convs) in sides.items():
        last = source
        for index, (shape, strides) in enumerate(convs[:stride]):
            last = conv_norm(builder, last, f"{name}/{side}/{index}", channels, shape, stride=strides, bias=True)
        ends.append(last)
    joined = builder.add("concat", *ends, name=f"{name}/concat", axis=0)
    return builder.add("relu6", joined, name=f"{name}/relu6")


def _depthwise(builder: GraphBuilder, source: int, name: str, *, width: int, stride: int, kernel: int) -> int:
    """Depthwise convolution, after a 1x1 convolution without bias where the width changes."""
    if builder.shape(source)[0] != width:
        source = builder.add("conv", source, name=f"{name}/widening", channels=width)
    return conv_norm(builder, source, name, width, kernel, stride=stride, groups=width, bias=True, activation="relu6")


def _double(builder: GraphBuilder, source: int, name: str, *, width: int, stride: int) -> int:
    """Two 1x1 convolutions; the first sets the width."""
    first = _conv(builder, source, f"{name}/first", width=width, stride=1, kernel=1)
    return _conv(builder, first, f"{name}/second", width=width, stride=stride, kernel=1)


def _pool(builder: GraphBuilder, source: int, name: str, *, width: int, stride: int, kind: str) -> int:
    return pool_norm(builder, source, name, kind)


DRAWINGS: dict[str, Callable[..., int]] = {
    "conv3x3": partial(_conv, kernel=3),
    "conv5x5": partial(_conv, kernel=5),
    "inception_s3x3": partial(_factorized, kernel=3),
    "inception_s5x5": partial(_factorized, kernel=5),
    "inception_p3x3": partial(_parallel, kernel=3),
    "inception_p5x5": partial(_parallel, kernel=5),
    "depthwise3x3": partial(_depthwise, kernel=3),
    "depthwise5x5": partial(_depthwise, kernel=5),
    "conv1x1": partial(_conv, kernel=1),
    "double1x1": _double,
    "avgpool3x3": partial(_pool, kind="avg_pool"),
    "maxpool3x3": partial(_pool, kind="max_pool"),
}
"""What draws each operation."""
