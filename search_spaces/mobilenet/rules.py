"""How genotypes of a MobileNet space are drawn, varied and checked."""

import itertools
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from search_spaces.mobilenet.genotype import (
    InvertedResidual,
    MobileGenotype,
    Stages,
    format_block,
    format_text,
    parse_text,
)
from search_spaces.mobilenet.genotype_json import parse_json
from search_spaces.mobilenet.layout import MobileLayout

Block = InvertedResidual | None


@dataclass(frozen=True)
class MobileRules:
    """What may be in the genotypes of a layout.

    Args:
        layout: stages and choices.
        space: its name, for messages.
        allowed: choices of a part of the space, by stage and place, with None where there may be no block; all of
            them by default.
    """

    layout: MobileLayout
    space: str
    allowed: Mapping[tuple[int, int], tuple[Block, ...]] | None = None

    def choices(self, stage: int, place: int) -> tuple[Block, ...]:
        """What may stand at a place of a stage, the first being 0; nothing comes last, where it may be skipped."""
        if self.allowed is not None:
            known = self.allowed[(stage, place)]
            return known if self.layout.min_blocks is None else tuple(block for block in known if block is not None)
        return self._optional if place and self.layout.min_blocks is None else self._blocks

    @cached_property
    def _blocks(self) -> tuple[InvertedResidual, ...]:
        return blocks_of(self.layout)

    @cached_property
    def _optional(self) -> tuple[Block, ...]:
        return (*self._blocks, None)

    def lengths(self, stage: int) -> range:
        """How many blocks a stage may list."""
        most = self.layout.stages[stage].num_blocks
        if self.layout.min_blocks is None:
            return range(most, most + 1)
        if self.allowed is None:
            return range(self.layout.min_blocks, most + 1)
        places = [self.allowed[(stage, place)] for place in range(most)]
        needed = sum(None not in known for known in places)  # the first ones
        return range(max(1, needed), sum(known != (None,) for known in places) + 1)

    @property
    def size(self) -> int:
        """Number of genotypes."""
        by_stage = (
            sum(math.prod(len(self.choices(stage, place)) for place in range(length)) for length in self.lengths(stage))
            for stage in range(len(self.layout.stages))
        )
        return math.prod(by_stage) * len(self.layout.resolutions)

    def sample(self, rng: random.Random) -> MobileGenotype:
        """Draw the depth of each stage, its blocks, and the resolution, each uniformly."""
        stages = (
            tuple(rng.choice(self.choices(stage, place)) for place in range(rng.choice(self.lengths(stage))))
            for stage in range(len(self.layout.stages))
        )
        return MobileGenotype(tuple(stages), rng.choice(self.layout.resolutions))

    def mutate(self, genotype: MobileGenotype, rng: random.Random) -> MobileGenotype:
        """Another block, another depth of a stage, or another resolution; each of these things is equally likely."""
        moves = [
            partial(self._with_other_block, genotype, stage, place)
            for stage, blocks in enumerate(genotype.stages)
            for place in range(len(blocks))
            if len(self.choices(stage, place)) > 1
        ]
        depths = [stage for stage in range(len(genotype.stages)) if len(self.lengths(stage)) > 1]
        moves += [partial(self._with_other_depth, genotype, stage) for stage in depths]
        moves += [partial(self._with_other_resolution, genotype)] * (len(self.layout.resolutions) > 1)
        return rng.choice(moves)(rng) if moves else genotype

    def cross(self, first: MobileGenotype, second: MobileGenotype, rng: random.Random) -> MobileGenotype:
        """Depth and resolution of either parent; each block of either that has it."""
        stages = (_cross_stages(pair, rng) for pair in zip(first.stages, second.stages, strict=True))
        return MobileGenotype(tuple(stages), rng.choice((first.resolution, second.resolution)))

    def fault(self, genotype: Any) -> str | None:
        """What is wrong with a value; None where it is a genotype."""
        layout = self.layout
        if not isinstance(genotype, MobileGenotype):
            return f"expected stages of blocks such as {self._example()}, got {str(genotype)[:80]}"
        if genotype.resolution not in layout.resolutions:
            known = ", ".join(map(str, layout.resolutions))
            return f"resolution: expected one of {known}, got {genotype.resolution}"
        if len(genotype.stages) != len(layout.stages):
            return f"expected {len(layout.stages)} stages with / between them, got {len(genotype.stages)}"
        return next(filter(None, itertools.starmap(self._fault_of_stage, enumerate(genotype.stages))), None)

    def parse(self, text: str) -> MobileGenotype:
        """Read the notation or JSON."""
        if text.startswith("{"):
            return parse_json(text, self.space, self.layout)
        return parse_text(text, self.space, self.layout.resolutions[-1])

    def format(self, genotype: MobileGenotype) -> str:
        """Write the notation."""
        return format_text(genotype, len(self.layout.resolutions) > 1)

    def _example(self) -> str:
        return self.format(self.sample(random.Random(0)))

    def _fault_of_stage(self, stage: int, blocks: tuple[Block, ...]) -> str | None:
        lengths = self.lengths(stage)
        if len(blocks) not in lengths:
            wanted = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
            return f"stage {stage}: expected {wanted} blocks, got {len(blocks)}"
        faults = (self._fault_of_block(stage, place, block) for place, block in enumerate(blocks))
        found = next(((place, fault) for place, fault in enumerate(faults) if fault), None)
        return None if found is None else f"stage {stage}, block {found[0]}: {found[1]}"

    def _fault_of_block(self, stage: int, place: int, block: Block) -> str | None:
        known = self.choices(stage, place)
        if block in known:
            return None
        if self.allowed is not None:
            return f"expected one of {', '.join(map(format_block, known))}, got {format_block(block)}"
        if block is None:
            reason = "the first block sets the shape" if self.layout.min_blocks is None else "list fewer blocks"
            return f"expected a block, got skip; {reason}"
        kernels, expansions = (
            ", ".join(f"{choice:g}" for choice in choices) for choices in (self.layout.kernels, self.layout.expansions)
        )
        return f"expected kernel {kernels} and expansion {expansions}, got {format_block(block)}"

    def _with_other_block(self, genotype: MobileGenotype, stage: int, place: int, rng: random.Random) -> MobileGenotype:
        blocks = genotype.stages[stage]
        new = rng.choice([choice for choice in self.choices(stage, place) if choice != blocks[place]])
        return _with_stage(genotype, stage, (*blocks[:place], new, *blocks[place + 1 :]))

    def _with_other_depth(self, genotype: MobileGenotype, stage: int, rng: random.Random) -> MobileGenotype:
        """One block less at the end, or a new one more."""
        blocks = genotype.stages[stage]
        length = rng.choice([len(blocks) + step for step in (-1, 1) if len(blocks) + step in self.lengths(stage)])
        more = tuple(rng.choice(self.choices(stage, place)) for place in range(len(blocks), length))
        return _with_stage(genotype, stage, (*blocks[:length], *more))

    def _with_other_resolution(self, genotype: MobileGenotype, rng: random.Random) -> MobileGenotype:
        others = [found for found in self.layout.resolutions if found != genotype.resolution]
        return replace(genotype, resolution=rng.choice(others))


def blocks_of(layout: MobileLayout) -> tuple[InvertedResidual, ...]:
    """All blocks that a layout has, by kernel, then expansion."""
    return tuple(itertools.starmap(InvertedResidual, itertools.product(layout.kernels, layout.expansions)))


def _with_stage(genotype: MobileGenotype, stage: int, blocks: tuple[Block, ...]) -> MobileGenotype:
    stages: Stages = (*genotype.stages[:stage], blocks, *genotype.stages[stage + 1 :])
    return replace(genotype, stages=stages)


def _cross_stages(parents: tuple[tuple[Block, ...], tuple[Block, ...]], rng: random.Random) -> tuple[Block, ...]:
    length = len(rng.choice(parents))
    return tuple(rng.choice([parent[place] for parent in parents if place < len(parent)]) for place in range(length))
