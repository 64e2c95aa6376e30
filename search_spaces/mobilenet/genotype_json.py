"""Genotypes of MobileNet spaces as JSON: our own, and the settings of a subnet as once-for-all's code prints them."""

import json
from typing import Any

from nasengine.errors import GenotypeError
from search_spaces.mobilenet.genotype import InvertedResidual, MobileGenotype, format_block, number, parse_block
from search_spaces.mobilenet.layout import MobileLayout

_MAX_NUMBER = 1000
_EXAMPLE = '{"resolution": 224, "stages": [["k3e6", "k5e3"], ...]}'


def format_json(genotype: MobileGenotype) -> str:
    """Write a genotype as JSON.

    >>> format_json(MobileGenotype(((InvertedResidual(3, 6), None),), 224))
    '{"resolution": 224, "stages": [["k3e6", "skip"]]}'
    """
    stages = [[format_block(block) for block in stage] for stage in genotype.stages]
    return json.dumps({"resolution": genotype.resolution, "stages": stages})


def parse_json(text: str, space: str, layout: MobileLayout) -> MobileGenotype:
    """Read JSON of either kind; what it says is checked afterwards, as any genotype.

    Raises:
        GenotypeError: other JSON, or none.
    """
    where = f"{space} genotype"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise GenotypeError(f"{where}: expected JSON such as {_EXAMPLE}, got {text[:40]!r}") from fault
    if isinstance(found, dict) and "ks" in found:
        return _once_for_all(found, where, layout)
    stages = found.get("stages") if isinstance(found, dict) and set(found) <= {"resolution", "stages"} else None
    if not isinstance(stages, list) or not all(isinstance(stage, list) for stage in stages):
        raise GenotypeError(f"{where}: expected JSON such as {_EXAMPLE}, got {text[:40]!r}")
    blocks = (
        tuple(parse_block(str(block), f"{where}, stage {index}") for block in stage)
        for index, stage in enumerate(stages)
    )
    return MobileGenotype(tuple(blocks), _resolution(found.get("resolution"), where, layout))


def _once_for_all(found: dict[str, Any], where: str, layout: MobileLayout) -> MobileGenotype:
    """``ks``, ``e`` for every block that there could be, ``d`` for every stage, and perhaps ``r``."""
    total, num_stages = sum(stage.num_blocks for stage in layout.stages), len(layout.stages)
    for name, length, kinds in (("ks", total, {int}), ("e", total, {int, float}), ("d", num_stages, {int})):
        numbers = found.get(name)
        listed = numbers if isinstance(numbers, list) else []
        if len(listed) != length or not all(type(item) in kinds and 0 < item < _MAX_NUMBER for item in listed):
            raise GenotypeError(f"{where}, {name}: expected a list of {length} numbers, got {str(numbers)[:40]!r}")
    blocks = [InvertedResidual(*pair) for pair in zip(found["ks"], map(number, found["e"]), strict=True)]
    stages, start = [], 0
    for index, (stage, depth) in enumerate(zip(layout.stages, found["d"], strict=True)):
        if not 1 <= depth <= stage.num_blocks:
            raise GenotypeError(f"{where}, stage {index}: expected 1 to {stage.num_blocks} blocks, got {depth}")
        skipped = (None,) * (stage.num_blocks - depth if layout.min_blocks is None else 0)
        stages.append((*blocks[start : start + depth], *skipped))
        start += stage.num_blocks
    resolution = found.get("r")
    single = resolution[0] if isinstance(resolution, list) and len(resolution) == 1 else resolution
    return MobileGenotype(tuple(stages), _resolution(single, where, layout))


def _resolution(found: object, where: str, layout: MobileLayout) -> int:
    """The last one where none is given."""
    if found is not None and type(found) is not int:
        raise GenotypeError(f"{where}, resolution: expected a whole number, got {str(found)[:40]!r}")
    return layout.resolutions[-1] if found is None else found
