"""Two-Path: two chains of two to four blocks between a stem and a head (Mills et al., 2023, arXiv 2211.17226).

A block is a sequence of one to three operations. Exactly two blocks of a path halve the image and double the channels.
The order of the paths means nothing, so a genotype holds them sorted. ``config.channels`` is the width of the stem;
``config.cells`` has no meaning here.

The notation puts ``/`` between paths, ``,`` between blocks, ``+`` between operations, and ``@2`` after a block of
stride 2: ``conv3x3@2,conv5x5+maxpool3x3@2/double3x3@2,conv3x3,conv3x3@2``.
"""

import math
import random
from dataclasses import replace
from typing import Any

from nasengine.errors import GenotypeError
from nasengine.protocols import NetworkConfig
from search_spaces.structured_space import GenotypeRules, StructuredSpace
from search_spaces.two_path_network import SEQUENCES, Block, Path, Paths, two_path_graph

LENGTHS = range(1, 4)
NUM_BLOCKS = range(2, 5)
NUM_PATHS = NUM_REDUCTIONS = 2
_EXAMPLE = "conv3x3@2,conv5x5+maxpool3x3@2/double3x3@2,conv3x3,conv3x3@2"


def _fault(paths: Any) -> str | None:
    if not isinstance(paths, tuple) or not all(map(_is_path, paths)):
        return f"expected a tuple of tuples of blocks, got {str(paths)[:80]}"
    if len(paths) != NUM_PATHS:
        return f"expected {NUM_PATHS} paths with / between them, such as {_EXAMPLE}, got {len(paths)}"
    fault = next(filter(None, map(_fault_of_path, paths)), None)
    if fault is None and paths != tuple(sorted(paths)):
        return "expected sorted paths, got them in another order"
    return fault


def _is_path(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(block, Block) for block in value)


def _fault_of_path(path: Path) -> str | None:
    where = f"path {_format_path(path)[:80]!r}"
    if len(path) not in NUM_BLOCKS:
        return f"{where}: expected {NUM_BLOCKS[0]} to {NUM_BLOCKS[-1]} blocks, got {len(path)}"
    for index, block in enumerate(path):
        if len(block.operations) not in LENGTHS:
            return (
                f"{where}, block {index}: expected {LENGTHS[0]} to {LENGTHS[-1]} operations, "
                f"got {len(block.operations)}"
            )
        fault = SEQUENCES.fault(block.operations)
        if fault is not None:
            return f"{where}, block {index}: {fault}"
    num_reductions = sum(block.reduces for block in path)
    if num_reductions != NUM_REDUCTIONS:
        return f"{where}: expected {NUM_REDUCTIONS} blocks of stride 2 (@2), got {num_reductions}"
    return None


def _parse(text: str) -> Paths:
    return tuple(sorted(tuple(map(_parse_block, path.split(","))) for path in text.split("/")))


def _parse_block(text: str) -> Block:
    text = text.strip()
    operations, mark, stride = text.partition("@")
    if mark and stride != "2":
        raise GenotypeError(f"two_path genotype, block {text[:60]!r}: expected nothing or @2 after the operations")
    return Block(tuple(part.strip() for part in operations.split("+")), reduces=bool(mark))


def _format(paths: Paths) -> str:
    return "/".join(map(_format_path, paths))


def _format_path(path: Path) -> str:
    return ",".join("+".join(block.operations) + ("@2" if block.reduces else "") for block in path)


def _sample(rng: random.Random) -> Paths:
    return tuple(sorted(_sample_path(rng) for _ in range(NUM_PATHS)))


def _sample_path(rng: random.Random) -> Path:
    num_blocks = rng.choice(NUM_BLOCKS)
    reducing = rng.sample(range(num_blocks), NUM_REDUCTIONS)
    return tuple(replace(_sample_block(rng), reduces=index in reducing) for index in range(num_blocks))


def _sample_block(rng: random.Random) -> Block:
    return Block(SEQUENCES.sample(rng.choice(LENGTHS), rng))


def _mutate(paths: Paths, rng: random.Random) -> Paths:
    """Another operation, another place of a stride, or another number of blocks, in one path."""
    changed = rng.randrange(NUM_PATHS)
    kinds = [_with_other_operation, _with_other_reductions, _with_other_length]
    rng.shuffle(kinds)
    options = ([path for path in kind(paths[changed], rng) if _fault_of_path(path) is None] for kind in kinds)
    path = rng.choice(next(found for found in options if found))
    return tuple(sorted((*paths[:changed], path, *paths[changed + 1 :])))


def _with_other_operation(path: Path, rng: random.Random) -> list[Path]:
    place = rng.randrange(len(path))
    others = SEQUENCES.neighbours(path[place].operations)
    return [(*path[:place], replace(path[place], operations=found), *path[place + 1 :]) for found in others]


def _with_other_reductions(path: Path, rng: random.Random) -> list[Path]:
    """One reducing block and one other change their roles."""
    found = []
    for leaving in (index for index, block in enumerate(path) if block.reduces):
        for entering in (index for index, block in enumerate(path) if not block.reduces):
            swapped = (leaving, entering)
            found.append(
                tuple(replace(block, reduces=block.reduces != (index in swapped)) for index, block in enumerate(path))
            )
    return found


def _with_other_length(path: Path, rng: random.Random) -> list[Path]:
    """One block of stride 1 less, or a new one more."""
    new = _sample_block(rng)
    longer = [(*path[:place], new, *path[place:]) for place in range(len(path) + 1)]
    return longer + [(*path[:place], *path[place + 1 :]) for place, block in enumerate(path) if not block.reduces]


def _cross(first: Paths, second: Paths, rng: random.Random) -> Paths:
    return tuple(sorted(_cross_paths(pair, rng) for pair in zip(first, second, strict=True)))


def _cross_paths(parents: tuple[Path, Path], rng: random.Random) -> Path:
    """Length and strides of one parent; the operations of each block come from either that has as many blocks."""
    child = []
    for index, block in enumerate(rng.choice(parents)):
        donor = rng.choice([parent[index] for parent in parents if index < len(parent)])
        child.append(replace(block, operations=donor.operations))
    return tuple(child)


def _size() -> int:
    """Sequences of operations to the power of the blocks, times the places of the strides; unordered pairs of paths."""
    num_sequences = sum(map(SEQUENCES.count, LENGTHS))
    num_paths = sum(math.comb(length, NUM_REDUCTIONS) * num_sequences**length for length in NUM_BLOCKS)
    return math.comb(num_paths + NUM_PATHS - 1, NUM_PATHS)


TWO_PATH = StructuredSpace(
    name="two_path",
    title="Two-Path, two chains of 2 to 4 blocks",
    paper="Mills et al., 2023, arXiv 2211.17226 (GENNAPE)",
    size=_size(),
    rules=GenotypeRules(_sample, _mutate, _cross, _fault, _parse, _format),
    to_graph_of=two_path_graph,
    defaults=NetworkConfig(channels=32, cells=1),
)
