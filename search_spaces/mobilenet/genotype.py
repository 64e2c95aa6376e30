"""Genotypes of MobileNet spaces, and their notation.

``/`` stands between stages, ``,`` between blocks; ``k5e6`` is a block of kernel 5 that widens its input six times,
``skip`` none. A resolution, where there is a choice, is put before: ``r192:k3e6,k5e4/k7e3,k3e3``.
"""

import re
from dataclasses import dataclass

from nasengine.errors import GenotypeError

SKIP = "skip"
_BLOCK = re.compile(r"k([0-9]{1,2})e([0-9]{1,2}(?:\.[0-9]{1,2})?)")
_RESOLUTION = re.compile(r"r([0-9]{1,4})")


Factor = int | float


@dataclass(frozen=True, slots=True)
class InvertedResidual:
    """A 1x1 convolution that widens, a depthwise one that spreads, a 1x1 convolution that narrows.

    Args:
        kernel: of the depthwise convolution.
        expansion: width between them as a multiple of the input's.
    """

    kernel: int
    expansion: Factor


Stages = tuple[tuple[InvertedResidual | None, ...], ...]


@dataclass(frozen=True, slots=True)
class MobileGenotype:
    """Blocks of each stage, None for a block that is skipped, and the side of the images."""

    stages: Stages
    resolution: int

    def canonical(self) -> "MobileGenotype":
        """The genotype of the same network whose skipped blocks are the last ones of their stage."""
        return MobileGenotype(
            tuple(tuple(sorted(stage, key=lambda block: block is None)) for stage in self.stages), self.resolution
        )


def format_block(block: InvertedResidual | None) -> str:
    """Write a block.

    >>> format_block(InvertedResidual(5, 6)), format_block(None)
    ('k5e6', 'skip')
    """
    return SKIP if block is None else f"k{block.kernel}e{block.expansion:g}"


def parse_block(text: str, where: str) -> InvertedResidual | None:
    """Read a block.

    Raises:
        GenotypeError: other text.
    """
    found = _BLOCK.fullmatch(text.strip())
    if found is None and text.strip() != SKIP:
        raise GenotypeError(f"{where}: expected a block such as k5e6, or skip, got {text[:40]!r}")
    return None if found is None else InvertedResidual(int(found[1]), number(float(found[2])))


def number(value: Factor) -> Factor:
    """Whole numbers as such, so that equal genotypes print alike."""
    return int(value) if float(value).is_integer() else value


def parse_text(text: str, space: str, full: int) -> MobileGenotype:
    """Read a genotype; ``full`` is its resolution where the text names none.

    Raises:
        GenotypeError: text that cannot be split up.

    >>> parse_text("r192:k3e6,skip/k5e3", "mobilenet", 224).resolution
    192
    """
    before, mark, after = text.partition(":")
    resolution = _RESOLUTION.fullmatch(before.strip())
    if mark and resolution is None:
        raise GenotypeError(f"{space} genotype: expected a resolution such as r192 before ':', got {before[:40]!r}")
    stages = (
        tuple(parse_block(block, f"{space} genotype, stage {index}") for block in stage.split(","))
        for index, stage in enumerate((after if mark else before).split("/"))
    )
    return MobileGenotype(tuple(stages), int(resolution[1]) if resolution else full)


def format_text(genotype: MobileGenotype, has_resolutions: bool) -> str:
    """Write a genotype, with its resolution where there is a choice."""
    stages = "/".join(",".join(map(format_block, stage)) for stage in genotype.stages)
    return f"r{genotype.resolution}:{stages}" if has_resolutions else stages
