"""Genotypes of MobileNet spaces as flat choices by name, for tables that people read, and for tuners of others."""

from collections.abc import Mapping, Sequence

from nasengine.errors import GenotypeError
from search_spaces.mobilenet.genotype import SKIP, InvertedResidual, MobileGenotype, format_block, parse_block
from search_spaces.mobilenet.layout import MobileLayout
from search_spaces.mobilenet.rules import MobileRules

RESOLUTION = "resolution"


def gene_choices(layout: MobileLayout) -> dict[str, tuple[str | int, ...]]:
    """What each gene may be: blocks by stage and place, ``skip`` where there may be none, and the resolution."""
    rules = MobileRules(layout, "")
    found: dict[str, tuple[str | int, ...]] = {}
    for stage, place in _places(layout):
        texts = [format_block(block) for block in rules.choices(stage, place)]
        may_end = layout.min_blocks is not None and place >= layout.min_blocks
        found[_name(stage, place)] = (*texts, SKIP) if may_end else tuple(texts)
    return found if len(layout.resolutions) == 1 else {**found, RESOLUTION: layout.resolutions}


def named_genes(layout: MobileLayout, genotype: MobileGenotype) -> dict[str, str | int]:
    """The choices that a genotype makes; all genotypes of a layout have the same names."""
    found: dict[str, str | int] = {}
    for stage, place in _places(layout):
        blocks = genotype.stages[stage]
        found[_name(stage, place)] = format_block(blocks[place]) if place < len(blocks) else SKIP
    return found if len(layout.resolutions) == 1 else {**found, RESOLUTION: genotype.resolution}


def genotype_of(layout: MobileLayout, genes: Mapping[str, object], space: str) -> MobileGenotype:
    """The genotype that choices make; where stages list first blocks only, those behind a skipped one move up.

    Raises:
        GenotypeError: a gene is missing, or is not text that names a block.
    """
    names = gene_choices(layout)
    missing = [name for name in names if name not in genes]
    if missing:
        raise GenotypeError(f"space {space}: expected the genes {', '.join(missing)}, got none")
    stages: list[tuple[InvertedResidual | None, ...]] = []
    for index, stage in enumerate(layout.stages):
        blocks: Sequence[InvertedResidual | None] = [
            parse_block(str(genes[_name(index, place)]), f"{space} genes, {_name(index, place)}")
            for place in range(stage.num_blocks)
        ]
        stages.append(tuple(block for block in blocks if block is not None or layout.min_blocks is None))
    return MobileGenotype(tuple(stages), _resolution(genes.get(RESOLUTION, layout.resolutions[-1]), space))


def _resolution(value: object, space: str) -> int:
    if not isinstance(value, int):
        raise GenotypeError(f"{space} genes, {RESOLUTION}: expected a number of pixels, got {str(value)[:40]!r}")
    return value


def _places(layout: MobileLayout) -> list[tuple[int, int]]:
    return [(index, place) for index, stage in enumerate(layout.stages) for place in range(stage.num_blocks)]


def _name(stage: int, place: int) -> str:
    return f"stage {stage} block {place}"
