"""Stages: consecutive units of a network that share one set of weights.

Stage-wise weight sharing (SWS; Xia et al., 2024, arXiv 2404.16897) cuts the 16 equal blocks of a transformer into five
stages of 3, 3, 4, 3 and 3. In a network of cells a stage is a maximal run of cells of identical shapes, or a part of
such a run; a cell that is like no neighbour (the first two, reductions and those behind them in the DARTS space) is a
stage of its own, and so are stem and head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nasengine.errors import ConfigError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.initialization.units import Unit, runs_of, units_of

DepthRule = Literal["even", "ratios"]
"""How units of another depth are dealt to stages: evenly, or in proportion to the stages' own sizes."""


@dataclass(frozen=True)
class Stage:
    """Positions that share weights.

    Args:
        name: of its first unit.
        signature: of all its units.
        size: how many units it has in the auxiliary network.
    """

    name: str
    signature: str
    size: int


@dataclass(frozen=True)
class Place:
    """Where a unit of some network takes its weights from.

    Args:
        unit: the unit.
        stage: its stage.
        position: unit of the stage at the same relative depth, from 0; what is private comes from there.
        repeats: how many units of this network are in the stage.
    """

    unit: Unit
    stage: Stage
    position: int
    repeats: int


def even_sizes(depth: int, parts: int) -> tuple[int, ...]:
    """Sizes that differ by at most one, the larger ones first: the rule visible in the expansion of SWS.

    >>> even_sizes(12, 5)
    (3, 3, 2, 2, 2)
    """
    return tuple(depth // parts + (part < depth % parts) for part in range(parts))


def proportional_sizes(depth: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """Sizes in proportion to others, at least 1 each, that sum to ``depth``; what is left goes to the largest shares.

    >>> proportional_sizes(10, (1, 3, 1)), proportional_sizes(3, (1, 30, 1))
    ((2, 6, 2), (1, 1, 1))
    """
    spare, whole = depth - len(sizes), sum(sizes)
    shares = [max(0.0, size * depth / whole - 1) for size in sizes]
    scale = spare / (sum(shares) or 1.0)
    found = [int(share * scale) for share in shares]
    order = sorted(range(len(sizes)), key=lambda part: (found[part] - shares[part] * scale, part))
    for part in order[: spare - sum(found)]:
        found[part] += 1
    return tuple(1 + extra for extra in found)


def stages_of(graph: ComputationGraph, stages: int | Sequence[int] = 1) -> list[Stage]:
    """Cut a network into stages.

    Args:
        graph: the auxiliary network.
        stages: number of stages of each run of equal units (fewer where a run is shorter), or the sizes of all stages
            of the runs of two and more units, in order.

    Raises:
        ConfigError: sizes that do not fit the runs.
    """
    runs = runs_of(units_of(graph))
    found: list[Stage] = []
    for run, sizes in zip(runs, _sizes_of_runs([len(run) for run in runs], stages), strict=True):
        begin = 0
        for size in sizes:
            found.append(Stage(run[begin].name, run[begin].signature, size))
            begin += size
    return found


def _sizes_of_runs(lengths: list[int], stages: int | Sequence[int]) -> list[tuple[int, ...]]:
    if isinstance(stages, int):
        if stages < 1:
            raise ConfigError(f"stages: expected at least 1 for each run of equal units, got {stages}")
        return [even_sizes(length, min(stages, length)) for length in lengths]
    left, found = list(stages), []
    for length in lengths:
        sizes: list[int] = []
        while length > 1 and left and sum(sizes) < length:
            sizes.append(left.pop(0))
        found.append(tuple(sizes) if length > 1 else (1,))
    long = ", ".join(str(length) for length in lengths if length > 1)
    fits = [sum(sizes) for sizes in found] == lengths and all(size > 0 for size in stages)
    if left or not fits:
        raise ConfigError(
            f"stages: expected sizes that add up to the runs of equal units, {long or 'of which there are none'}, "
            f"got {', '.join(map(str, stages))}"
        )
    return found


def places_in(graph: ComputationGraph, stages: Sequence[Stage], rule: DepthRule = "even") -> list[Place]:
    """Where each unit of a network takes its weights from; the order of stages is kept.

    Raises:
        ConfigError: a unit that no stage has, or fewer units than stages.
    """
    known: dict[str, list[Stage]] = {}
    for stage in stages:
        known.setdefault(stage.signature, []).append(stage)
    found: list[Place] = []
    for run in runs_of(units_of(graph)):
        parts = known.get(run[0].signature)
        if parts is None:
            raise ConfigError(
                f"unit {run[0].name or 'stem and head'}: expected one that the learngene knows, got one of another "
                "genotype, other inputs or other sizes; make the learngene with this depth among its depths"
            )
        if len(run) < len(parts):
            raise ConfigError(
                f"depth: expected at least {len(parts)} units from {run[0].name} on, one for each stage, "
                f"got {len(run)}; ask for more depth, or for fewer stages"
            )
        found += _dealt(run, parts, rule)
    return found


def _dealt(run: list[Unit], parts: list[Stage], rule: DepthRule) -> list[Place]:
    sizes = [stage.size for stage in parts]
    if len(run) != sum(sizes):
        sizes = list(even_sizes(len(run), len(parts)) if rule == "even" else proportional_sizes(len(run), sizes))
    found, begin = [], 0
    for stage, size in zip(parts, sizes, strict=True):
        for index in range(size):
            position = round(index * (stage.size - 1) / (size - 1)) if size > 1 else 0
            found.append(Place(run[begin + index], stage, position, size))
        begin += size
    return found
