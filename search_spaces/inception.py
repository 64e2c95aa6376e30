"""Inception: four stages of equal blocks with one to four parallel paths (Mills et al., 2023, arXiv 2211.17226).

The paper writes of three stages of two to four blocks, its released code has four stages of two to six; this follows
the code. A stage is a number of blocks and the paths of one block; the widths of paths follow from their number
(inception_genotype.py, where the notation is, too). ``config.channels`` is the width of the stem; ``config.cells`` has
no meaning here.
"""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import replace

from nasengine.protocols import NetworkConfig
from search_spaces.inception_genotype import (
    FEWEST_OF_PATH,
    INNER_WIDTHS,
    MOST_OF_BLOCK,
    NUM_PATHS,
    NUM_STAGES,
    POOLS,
    REPEATS,
    SEQUENCES,
    Path,
    Paths,
    Stage,
    Stages,
    fault_of_stage,
    fault_of_stages,
    format_stages,
    inner_widths,
    num_wide_paths,
    parse_stages,
    width_units,
)
from search_spaces.inception_network import inception_graph
from search_spaces.structured_space import GenotypeRules, StructuredSpace

INNER_WIDTH_ODDS = (3, 6, 1)
"""Of half, the same and double."""


def _sample(rng: random.Random) -> Stages:
    return tuple(Stage(rng.choice(REPEATS), _sample_paths(number, rng)) for number in range(NUM_STAGES))


def _sample_paths(number: int, rng: random.Random) -> Paths:
    """Every path leaves enough of the block's operations for those after it."""
    num_paths = rng.choice(NUM_PATHS)
    fewest = FEWEST_OF_PATH[num_paths]
    wide_place = rng.randrange(num_paths) if num_wide_paths(number, num_paths) else None
    left, paths = MOST_OF_BLOCK[num_paths], []
    for place in range(num_paths):
        length = rng.randint(fewest, left - fewest * (num_paths - place - 1))
        left -= length
        path = Path(SEQUENCES.sample(length, rng), wide=place == wide_place)
        paths.append(_with_drawn_internal(path, width_units(number, num_paths, path.wide), rng))
    return tuple(sorted(paths))


def _with_drawn_internal(path: Path, units: int, rng: random.Random) -> Path:
    """Half, same or double with the odds of the code; what the path cannot have becomes the same."""
    (drawn,) = rng.choices(INNER_WIDTHS, INNER_WIDTH_ODDS)
    return replace(path, internal=drawn if drawn in inner_widths(path.operations, units) else "same")


def _mutate(stages: Stages, rng: random.Random) -> Stages:
    """One stage with other repeats, or one path with another operation, width or share, or one path more or less."""
    number = rng.randrange(NUM_STAGES)
    stage = stages[number]
    kinds = [_other_repeats, _other_operations, _other_internals, _other_shares, _other_num_paths]
    rng.shuffle(kinds)
    options = (
        [other for other in kind(stage, number, rng) if other != stage and fault_of_stage(other, number) is None]
        for kind in kinds
    )
    chosen = rng.choice(next(found for found in options if found))
    return (*stages[:number], chosen, *stages[number + 1 :])


def _other_repeats(stage: Stage, number: int, rng: random.Random) -> list[Stage]:
    return [replace(stage, repeats=repeats) for repeats in REPEATS]


def _other_operations(stage: Stage, number: int, rng: random.Random) -> list[Stage]:
    place = rng.randrange(len(stage.paths))
    others = SEQUENCES.neighbours(stage.paths[place].operations)
    return [_with_path(stage, place, replace(stage.paths[place], operations=found)) for found in others]


def _other_internals(stage: Stage, number: int, rng: random.Random) -> list[Stage]:
    return [
        _with_path(stage, place, replace(path, internal=internal))
        for place, path in enumerate(stage.paths)
        for internal in INNER_WIDTHS
    ]


def _with_path(stage: Stage, place: int, path: Path) -> Stage:
    return replace(stage, paths=tuple(sorted((*stage.paths[:place], path, *stage.paths[place + 1 :]))))


def _other_shares(stage: Stage, number: int, rng: random.Random) -> list[Stage]:
    return [replace(stage, paths=paths) for paths in _shared(stage.paths, number)]


def _other_num_paths(stage: Stage, number: int, rng: random.Random) -> list[Stage]:
    """One path less, or a new one more, with the wide share wherever it can be."""
    kept = itertools.combinations(stage.paths, len(stage.paths) - 1)
    found = [replace(stage, paths=paths) for fewer in kept if fewer for paths in _shared(fewer, number)]
    num_paths = len(stage.paths) + 1
    if num_paths not in NUM_PATHS:
        return found
    used = sum(len(path.operations) for path in stage.paths)
    length = rng.randint(FEWEST_OF_PATH[num_paths], MOST_OF_BLOCK[num_paths] - used)
    new = _with_drawn_internal(Path(SEQUENCES.sample(length, rng)), width_units(number, num_paths, False), rng)
    return found + [replace(stage, paths=paths) for paths in _shared((*stage.paths, new), number)]


def _shared(paths: Paths, number: int) -> Iterator[Paths]:
    """The paths with the wide share at every place where it can be."""
    for places in itertools.combinations(range(len(paths)), num_wide_paths(number, len(paths))):
        yield tuple(sorted(replace(path, wide=place in places) for place, path in enumerate(paths)))


def _cross(first: Stages, second: Stages, rng: random.Random) -> Stages:
    pairs = zip(first, second, strict=True)
    return tuple(Stage(rng.choice(pair).repeats, rng.choice(pair).paths) for pair in pairs)


def _size() -> int:
    """Numbers of blocks times the different blocks, over the stages."""
    return math.prod(
        len(REPEATS) * sum(num_blocks(number, num_paths) for num_paths in NUM_PATHS) for number in range(NUM_STAGES)
    )


def num_blocks(number: int, num_paths: int) -> int:
    """Different blocks of a number of paths in a stage."""
    fewest, most = FEWEST_OF_PATH[num_paths], MOST_OF_BLOCK[num_paths]
    lengths = range(fewest, most - fewest * (num_paths - 1) + 1)
    narrow = [(length, _num_kinds(length, width_units(number, num_paths, False))) for length in lengths]
    if not num_wide_paths(number, num_paths):
        return _num_multisets(narrow, num_paths, most)
    units = width_units(number, num_paths, True)
    return sum(_num_kinds(length, units) * _num_multisets(narrow, num_paths - 1, most - length) for length in lengths)


def _num_kinds(length: int, units: int) -> int:
    """Paths of a length and width that differ in their operations or inner widths."""
    num_main = len(SEQUENCES.main)
    unchangeable = {1: num_main, 2: 2 * num_main * len(POOLS)}.get(length, 0)
    num_inner_widths = len(inner_widths(("conv3x3", "conv3x3"), units))
    return unchangeable + (SEQUENCES.count(length) - unchangeable) * num_inner_widths


def _num_multisets(kinds: list[tuple[int, int]], size: int, budget: int) -> int:
    """Multisets of so many paths within a budget of operations; ``kinds`` pairs lengths with numbers of paths."""
    if not kinds:
        return int(size == 0)
    (length, count), *others = kinds
    return sum(
        math.comb(count + taken - 1, taken) * _num_multisets(others, size - taken, budget - taken * length)
        for taken in range(size + 1)
        if taken * length <= budget
    )


INCEPTION = StructuredSpace(
    name="inception",
    title="Inception, 4 stages of blocks with 1 to 4 paths",
    paper="Mills et al., 2023, arXiv 2211.17226 (GENNAPE)",
    size=_size(),
    rules=GenotypeRules(_sample, _mutate, _cross, fault_of_stages, parse_stages, format_stages),
    to_graph_of=inception_graph,
    defaults=NetworkConfig(channels=32, cells=1),
)
