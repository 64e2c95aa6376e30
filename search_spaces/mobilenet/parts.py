"""Parts of an elastic MobileNet space: what may stand at each place of a stage, and what follows for other places.

A layer is a place of a stage. Its candidates are the blocks of the layout and, last, none, where a stage may end before
it. Since stages keep their first blocks, no block at a place means none at the later ones.
"""

import random
from collections.abc import Collection, Mapping
from functools import lru_cache

from nasengine.chain_space import LAYER
from nasengine.graph.supergraph import ChoiceKey, Selection
from nasengine.splittable_space import ElasticLayer
from search_spaces.mobilenet.elastic import DEPTH, EXPANSION, KERNEL, RESOLUTION, check_choices
from search_spaces.mobilenet.genotype import MobileGenotype, format_block
from search_spaces.mobilenet.layout import MobileLayout
from search_spaces.mobilenet.rules import Block, MobileRules, blocks_of

Place = tuple[int, int]
Choices = dict[Place, tuple[Block, ...]]


@lru_cache(maxsize=64)
def known_choices(layout: MobileLayout) -> Choices:
    """What may stand at each stage and place; callers leave it as it is."""
    least, blocks = max(1, layout.min_blocks or 1), blocks_of(layout)
    return {
        (stage, place): blocks if place < least else (*blocks, None)
        for stage, found in enumerate(layout.stages)
        for place in range(found.num_blocks)
    }


@lru_cache(maxsize=64)
def place_of(layout: MobileLayout) -> dict[ChoiceKey, Place]:
    """Stage and place of each layer."""
    return {(LAYER, layer): place for layer, place in enumerate(known_choices(layout))}


def elastic_layers(layout: MobileLayout) -> dict[ChoiceKey, ElasticLayer]:
    """The layers, as splits see them."""
    known = known_choices(layout)
    return {
        key: ElasticLayer(f"stages/{stage}/blocks/{place}", tuple(map(format_block, known[stage, place])))
        for key, (stage, place) in place_of(layout).items()
    }


def selection_of(layout: MobileLayout, genotype: MobileGenotype) -> Selection:
    """The candidate of each layer."""
    known = known_choices(layout)
    return {
        key: (known[stage, place].index(_block_at(genotype, stage, place)),)
        for key, (stage, place) in place_of(layout).items()
    }


def placed_genotype(layout: MobileLayout, genotype: MobileGenotype, place: Place, block: Block) -> MobileGenotype:
    """The genotype with a block at a place, or none; a stage that may end there ends with it.

    What is missing before it becomes the largest block.

    >>> from search_spaces.mobilenet import MOBILENET, InvertedResidual
    >>> found = placed_genotype(MOBILENET.layout, MOBILENET.largest().genotype, (0, 2), InvertedResidual(3, 4))
    >>> ",".join(map(format_block, found.stages[0]))
    'k7e6,k7e6,k3e4'
    """
    stage, number = place
    blocks = genotype.stages[stage]
    if layout.min_blocks is None or None not in known_choices(layout)[place]:
        changed = (*blocks[:number], block, *blocks[number + 1 :])
    else:
        before = (_block_at(genotype, stage, found) or blocks_of(layout)[-1] for found in range(number))
        changed = (*before, *((block,) if block is not None else ()))
    return MobileGenotype((*genotype.stages[:stage], changed, *genotype.stages[stage + 1 :]), genotype.resolution)


def consistent(layout: MobileLayout, allowed: Selection) -> Choices:
    """What may stand at each place where some candidates are allowed, without what then can be in no genotype.

    Where a stage lists its blocks up to the last one, no block at a place means none later, and a block there means
    blocks before it.
    """
    known = known_choices(layout)
    found = {place: tuple(known[place][pick] for pick in allowed[key]) for key, place in place_of(layout).items()}
    if layout.min_blocks is None:
        return found
    for stage, entry in enumerate(layout.stages):
        places = [(stage, place) for place in range(entry.num_blocks)]
        first_missing = next((at for at, place in enumerate(places) if found[place] == (None,)), len(places))
        last_needed = max((at for at, place in enumerate(places) if None not in found[place]), default=-1)
        for at, place in enumerate(places):
            if at >= first_missing:
                found[place] = (None,)
            elif at <= last_needed:
                found[place] = tuple(block for block in found[place] if block is not None)
    return found


def picks_of(layout: MobileLayout, choices: Mapping[Place, tuple[Block, ...]]) -> Selection:
    """Choices as numbers of candidates."""
    known = known_choices(layout)
    return {
        key: tuple(known[place].index(block) for block in choices[place]) for key, place in place_of(layout).items()
    }


def shrunk_within(rules: MobileRules, choices: Collection[str]) -> MobileGenotype:
    """The largest genotype of a part, with some choices at their least: the expansion first, then the kernel.

    Blocks cost more by their expansion than by their kernel.
    """
    check_choices(choices)
    layout, stages = rules.layout, []
    for stage in range(len(layout.stages)):
        depth = rules.lengths(stage)[0 if DEPTH in choices else -1]
        stages.append(tuple(_extreme(rules.choices(stage, place), choices) for place in range(depth)))
    return MobileGenotype(tuple(stages), layout.resolutions[0 if RESOLUTION in choices else -1])


def sampled_within(rules: MobileRules, choices: Collection[str], rng: random.Random) -> MobileGenotype:
    """A genotype of a part with some choices drawn; the others are the largest that the part has beside them."""
    check_choices(choices)
    layout, stages = rules.layout, []
    for stage in range(len(layout.stages)):
        depth = rng.choice(rules.lengths(stage)) if DEPTH in choices else rules.lengths(stage)[-1]
        stages.append(tuple(rng.choice(_open(rules.choices(stage, place), choices)) for place in range(depth)))
    resolution = rng.choice(layout.resolutions) if RESOLUTION in choices else layout.resolutions[-1]
    return MobileGenotype(tuple(stages), resolution)


def _block_at(genotype: MobileGenotype, stage: int, place: int) -> Block:
    blocks = genotype.stages[stage]
    return blocks[place] if place < len(blocks) else None


def _extreme(known: tuple[Block, ...], choices: Collection[str]) -> Block:
    """The largest block, or the least by some choices."""
    blocks = [block for block in known if block is not None]
    if not blocks or (DEPTH in choices and None in known):
        return None
    signs = -1 if EXPANSION in choices else 1, -1 if KERNEL in choices else 1
    return max(blocks, key=lambda block: (signs[0] * block.expansion, signs[1] * block.kernel))


def _open(known: tuple[Block, ...], choices: Collection[str]) -> list[Block]:
    """What some choices leave open; kernels that they do not are the largest of their expansion."""
    blocks = [block for block in known if block is not None]
    if blocks and EXPANSION not in choices:
        widest = max(block.expansion for block in blocks)
        blocks = [block for block in blocks if block.expansion == widest]
    if KERNEL not in choices:
        best = {block.expansion: block for block in sorted(blocks, key=lambda block: block.kernel)}
        blocks = list(best.values())
    return [*blocks, *([None] if None in known and (DEPTH in choices or not blocks) else [])]
