"""Vision transformers of equal blocks for small images (Touvron et al., 2020, arXiv 2012.12877, "DeiT").

The space on which stage-wise weight sharing is reproduced (Xia et al., 2024, arXiv 2404.16897, "SWS"). As in its
auxiliary network there is no class token: a layer norm, the mean over all tokens and a linear layer end every network.
SWS's released descendants take the mean before the norm, and the small ones have half of the auxiliary network's heads;
here ``resized`` changes depth or width and nothing else, so that what is inherited computes the same.

Queries, keys and values have a linear layer each: as many weights as one layer of three times the width, no slower,
and each weight holds one thing. Weights start as torch draws them by default, not as DeiT's truncated normal values,
with which small networks learn much slower here. Position embeddings start with a deviation of 1: on digits, after ten
epochs, 5 blocks of width 64 reached .95 so, and .84 from zero or from DeiT's .02 (two seeds).

A genotype names five sizes: ``depth=12,width=192,heads=3,ratio=4,patch=4``. Families of networks vary in depth and
width, so any of these are valid up to ``MAX_DEPTH`` and ``MAX_WIDTH``; ``CHOICES`` are what is searched and counted.
``config.channels`` and ``config.cells`` have no meaning here: depth and width are the genotype's.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any

from nasengine.architecture import Architecture
from nasengine.errors import GenotypeError
from nasengine.protocols import NetworkConfig
from search_spaces.structured_space import GenotypeRules, StructuredSpace
from search_spaces.vision_transformer_network import TransformerSizes, transformer_graph

CHOICES: dict[str, tuple[int, ...]] = {
    "depth": tuple(range(5, 21)),
    "width": (64, 96, 128, 192, 256, 384),
    "heads": (2, 3, 4, 6, 8, 12),
    "ratio": (2, 4),
    "patch": (2, 4, 8, 16),
}
MAX_DEPTH, MAX_WIDTH = 64, 1024
_EXAMPLE = "depth=12,width=192,heads=3,ratio=4,patch=4"
_MAX_DIGITS = 9


@dataclass(frozen=True)
class VisionTransformerSpace(StructuredSpace):
    """Implements the SearchSpace protocol, SupportsEnumeration and Resizable."""

    def enumerate(self) -> Iterator[Architecture]:
        """All architectures that are searched, in a fixed order."""
        return (Architecture(self.name, sizes) for sizes in _all_sizes())

    def sizes(self, architecture: Architecture) -> tuple[int, int]:
        """Depth and width of an architecture."""
        found = self._genotype(architecture)
        return found.depth, found.width

    def resized(
        self, architecture: Architecture, config: NetworkConfig, *, depth: int | None = None, width: int | None = None
    ) -> tuple[Architecture, NetworkConfig]:
        """The same architecture with another number of blocks or another width, and as many heads as before.

        Raises:
            GenotypeError: the heads do not divide the width, or there is no network of this depth or width.

        >>> found = VISION_TRANSFORMER.parse("depth=12,width=192,heads=3,ratio=4,patch=4")
        >>> larger, _ = VISION_TRANSFORMER.resized(found, VISION_TRANSFORMER.defaults, depth=16)
        >>> VISION_TRANSFORMER.format(larger)
        'depth=16,width=192,heads=3,ratio=4,patch=4'
        """
        sizes = self._genotype(architecture)
        other = replace(
            sizes, depth=sizes.depth if depth is None else depth, width=sizes.width if width is None else width
        )
        found = Architecture(self.name, other)
        self.validate(found)
        return found, config


def _all_sizes() -> Iterator[TransformerSizes]:
    rows = (TransformerSizes(*row) for row in itertools.product(*CHOICES.values()))
    return (sizes for sizes in rows if _fault(sizes) is None)


def _fault(sizes: Any) -> str | None:
    if not isinstance(sizes, TransformerSizes):
        return f"expected sizes such as {_EXAMPLE}, got {str(sizes)[:80]}"
    for name, most in (("depth", MAX_DEPTH), ("width", MAX_WIDTH)):
        size = getattr(sizes, name)
        if type(size) is not int or not 1 <= size <= most:
            return f"{name}: expected a whole number from 1 to {most}, got {size!r}"
    for name in ("heads", "ratio", "patch"):
        size = getattr(sizes, name)
        if type(size) is not int or size not in CHOICES[name]:
            return f"{name}: expected one of {', '.join(map(str, CHOICES[name]))}, got {size!r}"
    if sizes.width % sizes.heads:
        return f"width: expected a multiple of its {sizes.heads} heads, got {sizes.width}"
    return None


def _sample(rng: random.Random) -> TransformerSizes:
    """All are equally likely."""
    while True:
        sizes = TransformerSizes(*map(rng.choice, CHOICES.values()))
        if _fault(sizes) is None:
            return sizes


def _mutate(sizes: TransformerSizes, rng: random.Random) -> TransformerSizes:
    """One size becomes another choice; a depth or width from outside the choices may become any of them."""
    neighbours = {name: _with_other(sizes, name) for name in CHOICES}
    return rng.choice(neighbours[rng.choice([name for name, others in neighbours.items() if others])])


def _with_other(sizes: TransformerSizes, name: str) -> list[TransformerSizes]:
    others = (replace(sizes, **{name: choice}) for choice in CHOICES[name])
    return [other for other in others if other != sizes and _fault(other) is None]


def _cross(first: TransformerSizes, second: TransformerSizes, rng: random.Random) -> TransformerSizes:
    """Each size of either parent; the heads are drawn again where they do not divide the width."""
    while True:
        child = TransformerSizes(*map(rng.choice, zip(astuple(first), astuple(second), strict=True)))
        if _fault(child) is None:
            return child


def _parse(text: str) -> TransformerSizes:
    """The sizes in any order, each once."""
    parts = [part.partition("=") for part in text.split(",")]
    named = {name.strip(): number.strip() for name, _, number in parts}
    if len(parts) != len(CHOICES) or set(named) != set(CHOICES):
        raise GenotypeError(
            f"vision_transformer genotype: expected {', '.join(CHOICES)}, each once, such as {_EXAMPLE}, "
            f"got {text[:80]!r}"
        )
    return TransformerSizes(**{name: _parse_number(name, number) for name, number in named.items()})


def _parse_number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise GenotypeError(f"vision_transformer genotype, {name}: expected a whole number, got {text[:40]!r}")
    return int(text)


def _format(sizes: TransformerSizes) -> str:
    return ",".join(f"{name}={size}" for name, size in asdict(sizes).items())


VISION_TRANSFORMER = VisionTransformerSpace(
    name="vision_transformer",
    title="Vision transformers of 5 to 20 blocks",
    paper="Touvron et al., 2020, arXiv 2012.12877 (DeiT)",
    size=sum(1 for _ in _all_sizes()),
    rules=GenotypeRules(_sample, _mutate, _cross, _fault, _parse, _format),
    to_graph_of=transformer_graph,
    defaults=NetworkConfig(cells=1),
)
