"""What shrinks in an elastic supernet of a MobileNet space: resolution, kernels, depth and expansions.

Once-for-all (Cai et al., 2020, arXiv 1908.09791, section 3.3) lets them shrink in this order, each beside the earlier
ones.
"""

import random
from collections.abc import Collection
from dataclasses import replace

from nasengine.errors import ConfigError
from search_spaces.mobilenet.genotype import InvertedResidual, MobileGenotype
from search_spaces.mobilenet.layout import MobileLayout
from search_spaces.mobilenet.rules import MobileRules

RESOLUTION, KERNEL, DEPTH, EXPANSION = "resolution", "kernel", "depth", "expansion"


def elastic_choices(layout: MobileLayout) -> tuple[str, ...]:
    """Choices of which a layout leaves more than one, in the order in which they may shrink.

    >>> from search_spaces.mobilenet import PROXYLESSNAS
    >>> elastic_choices(PROXYLESSNAS.layout)
    ('kernel', 'depth', 'expansion')
    """
    is_deep = layout.min_blocks is None or any(stage.num_blocks > layout.min_blocks for stage in layout.stages)
    open_choices = {
        RESOLUTION: len(layout.resolutions) > 1,
        KERNEL: len(layout.kernels) > 1,
        DEPTH: is_deep,
        EXPANSION: len(layout.expansions) > 1,
    }
    return tuple(choice for choice, is_open in open_choices.items() if is_open)


def shrunk_genotype(layout: MobileLayout, choices: Collection[str]) -> MobileGenotype:
    """The largest genotype with some choices at their least.

    Raises:
        ConfigError: a choice that there is not.
    """
    check_choices(choices)
    pick = {choice: 0 if choice in choices else -1 for choice in (RESOLUTION, KERNEL, EXPANSION)}
    block = InvertedResidual(layout.kernels[pick[KERNEL]], layout.expansions[pick[EXPANSION]])
    stages = (
        _of_depth((block,) * stage.num_blocks, (layout.min_blocks or 1) if DEPTH in choices else None, layout)
        for stage in layout.stages
    )
    return MobileGenotype(tuple(stages), layout.resolutions[pick[RESOLUTION]])


def sampled_genotype(layout: MobileLayout, choices: Collection[str], rng: random.Random) -> MobileGenotype:
    """Some choices are drawn, each uniformly; the others are as in the largest genotype. Stages keep first blocks.

    Raises:
        ConfigError: a choice that there is not.
    """
    check_choices(choices)
    rules = MobileRules(replace(layout, min_blocks=layout.min_blocks or 1), "")
    kernels = layout.kernels if KERNEL in choices else layout.kernels[-1:]
    expansions = layout.expansions if EXPANSION in choices else layout.expansions[-1:]
    stages = []
    for index, stage in enumerate(layout.stages):
        blocks = [InvertedResidual(rng.choice(kernels), rng.choice(expansions)) for _ in range(stage.num_blocks)]
        stages.append(_of_depth(tuple(blocks), rng.choice(rules.lengths(index)) if DEPTH in choices else None, layout))
    resolutions = layout.resolutions if RESOLUTION in choices else layout.resolutions[-1:]
    return MobileGenotype(tuple(stages), rng.choice(resolutions))


def _of_depth(
    blocks: tuple[InvertedResidual, ...], depth: int | None, layout: MobileLayout
) -> tuple[InvertedResidual | None, ...]:
    """The first blocks; the others are skipped, where the layout lists them."""
    if depth is None:
        return blocks
    skipped = (None,) * (len(blocks) - depth if layout.min_blocks is None else 0)
    return (*blocks[:depth], *skipped)


def check_choices(choices: Collection[str]) -> None:
    """See that there are such choices.

    Raises:
        ConfigError: there are not.
    """
    unknown = [choice for choice in choices if choice not in (RESOLUTION, KERNEL, DEPTH, EXPANSION)]
    if unknown:
        raise ConfigError(f"mobilenet, elastic choices: expected resolution, kernel, depth or expansion, got {unknown}")
