"""What all networks of a MobileNet space have in common: stages, widths and strides, and what may be chosen."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from nasengine.errors import ConfigError, GraphError
from nasengine.protocols import NetworkConfig

MULTIPLE = 8
"""Of which all widths are."""
LAST_SIDE = 4
"""Pixels a side that the last stage keeps at least, where the number of strides is not given."""
_MAX_STAGES, _MAX_BLOCKS, _MAX_CHANNELS, _MAX_SIDE = 16, 16, 16384, 4096


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one width.

    Args:
        channels: of the output of each block.
        num_blocks: at most.
        stride: of the first block: 1, or 2 to halve the image.
        activation: after the convolutions that widen and that spread.
        squeezes: whether blocks weigh their channels by squeeze and excitation (Hu et al., 2018, arXiv 1709.01507).
    """

    channels: int
    num_blocks: int = 4
    stride: int = 1
    activation: str = "relu6"
    squeezes: bool = False


@dataclass(frozen=True, slots=True)
class MobileLayout:
    """Stages, and what is chosen in them.

    Args:
        stages: in order.
        kernels, expansions: choices of each block.
        min_blocks: stages keep their first blocks, at least so many; None for stages in which each block but the first
            may be skipped.
        resolutions: sides of images to choose from, ascending, as they are where data has images of the last; images
            of other data are resized in proportion.
        stem_channels, stem_stride, stem_activation: of the first convolution.
        first_channels: of the block without choices that follows it.
        head_channels: of the last convolution.
        feature_channels: of a linear layer between it and the classifier; None for none.
        activation: of the head.
        num_strides: how often the image is halved, by the last strides of the list; None leaves as many as keep
            ``LAST_SIDE`` pixels.

    Raises:
        ConfigError: a list of stages or choices that does not fit.
    """

    stages: tuple[Stage, ...]
    kernels: tuple[int, ...] = (3, 5, 7)
    expansions: tuple[int | float, ...] = (3, 6)
    min_blocks: int | None = None
    resolutions: tuple[int, ...] = (224,)
    stem_channels: int = 32
    stem_stride: int = 2
    stem_activation: str = "relu6"
    first_channels: int = 16
    head_channels: int = 1280
    feature_channels: int | None = None
    activation: str = "relu6"
    num_strides: int | None = None

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            raise ConfigError([f"mobilenet layout, {fault}" for fault in faults])

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the stem and of each stage."""
        return self.stem_stride, *(stage.stride for stage in self.stages)

    def image_shape(self, shape: Sequence[int], resolution: int) -> tuple[int, int, int]:
        """Shape of images of ``shape`` after they are resized to a resolution."""
        channels, *sides = shape
        full = self.resolutions[-1]
        height, width = (max(1, (2 * side * resolution + full) // (2 * full)) for side in sides)
        return channels, height, width


def stage_list(channels: Sequence[int], num_blocks: Sequence[int], strides: Sequence[int]) -> tuple[Stage, ...]:
    """Stages from a list for each of their settings.

    Raises:
        ConfigError: lists of different lengths.

    >>> stage_list([24, 40], [4, 2], [2, 1])[1].num_blocks
    2
    """
    lengths = {"channels": len(channels), "num_blocks": len(num_blocks), "strides": len(strides)}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise ConfigError(f"mobilenet stage list: expected as many channels, num_blocks and strides, got {found}")
    return tuple(map(Stage, channels, num_blocks, strides))


@lru_cache(maxsize=256)
def fitted(layout: MobileLayout, config: NetworkConfig) -> MobileLayout:
    """The layout at the width of ``config.channels`` (of the stem), without the first strides where images are small.

    Raises:
        GraphError: the images are too small.

    >>> small = fitted(MobileLayout((Stage(24, stride=2), Stage(40, stride=2))), NetworkConfig(image_shape=(3, 8, 8)))
    >>> small.strides
    (1, 1, 2)
    """

    def width(channels: int) -> int:
        return divisible(channels * config.channels / layout.stem_channels)

    strides = _kept_strides(layout, min(config.image_shape[1:]))
    stages = (
        replace(stage, channels=width(stage.channels), stride=stride)
        for stage, stride in zip(layout.stages, strides[1:], strict=True)
    )
    features = layout.feature_channels
    return replace(
        layout,
        stages=tuple(stages),
        stem_channels=width(layout.stem_channels),
        stem_stride=strides[0],
        first_channels=width(layout.first_channels),
        head_channels=width(layout.head_channels),
        feature_channels=None if features is None else width(features),
        num_strides=sum(stride > 1 for stride in strides),
    )


def divisible(channels: int | float) -> int:
    """The nearest multiple of 8 that is not more than a tenth below (Sandler et al., 2018, arXiv 1801.04381).

    >>> divisible(18), divisible(20), divisible(3)
    (24, 24, 8)
    """
    nearest = max(MULTIPLE, int(channels + MULTIPLE / 2) // MULTIPLE * MULTIPLE)
    return nearest + MULTIPLE if nearest < 0.9 * channels else nearest


def _kept_strides(layout: MobileLayout, side: int) -> tuple[int, ...]:
    places = [place for place, stride in enumerate(layout.strides) if stride > 1]
    count = layout.num_strides
    if count is None:
        if side < LAST_SIDE:
            raise GraphError(f"mobilenet: expected images of at least {LAST_SIDE} pixels a side, got {side}")
        count = next(found for found in range(len(places), -1, -1) if _halved(side, found) >= LAST_SIDE)
    smallest = 2**count * layout.resolutions[-1] / layout.resolutions[0]
    if side < smallest:
        raise GraphError(
            f"mobilenet, {count} strides: expected images of at least {math.ceil(smallest)} pixels a side, got {side}; "
            "use larger images or fewer strides (num_strides)"
        )
    kept = places[len(places) - count :]
    return tuple(2 if place in kept else 1 for place in range(len(layout.strides)))


def _halved(side: int, times: int) -> int:
    return -(-side // 2**times)


def _faults(layout: MobileLayout) -> Iterator[str]:
    if not 1 <= len(layout.stages) <= _MAX_STAGES:
        yield f"stages: expected 1 to {_MAX_STAGES}, got {len(layout.stages)}"
    least = max(1, layout.min_blocks or 1)
    for index, stage in enumerate(layout.stages):
        if not 1 <= stage.channels <= _MAX_CHANNELS:
            yield f"stage {index}: expected 1 to {_MAX_CHANNELS} channels, got {stage.channels}"
        if not least <= stage.num_blocks <= _MAX_BLOCKS:
            yield f"stage {index}: expected {least} to {_MAX_BLOCKS} blocks, got {stage.num_blocks}"
        if stage.stride not in (1, 2):
            yield f"stage {index}: expected stride 1 or 2, got {stage.stride}"
    if layout.min_blocks is not None and layout.min_blocks < 1:
        yield f"min_blocks: expected at least 1 or None, got {layout.min_blocks}"
    yield from _faults_of_choices(layout)
    num_strides = sum(stride > 1 for stride in layout.strides)
    if layout.num_strides is not None and not 0 <= layout.num_strides <= num_strides:
        yield f"num_strides: expected 0 to {num_strides}, which the stem and stages have, got {layout.num_strides}"


def _faults_of_choices(layout: MobileLayout) -> Iterator[str]:
    for name, most in (("kernels", 15), ("expansions", 16), ("resolutions", _MAX_SIDE)):
        choices = getattr(layout, name)
        rises = all(first < second for first, second in itertools.pairwise(choices))
        if not choices or not rises or not 1 <= choices[0] <= choices[-1] <= most:
            yield f"{name}: expected rising numbers from 1 to {most}, got {choices}"
    if any(kernel % 2 == 0 for kernel in layout.kernels):
        yield f"kernels: expected odd ones, got {layout.kernels}"
