"""Genotypes of the Inception space: their rules, their notation and the widths that they mean (see inception.py).

Widths are counted in units of half the stem's channels, 16 in the paper, which is the least width of a path. Every
published width is a whole number of units, and they scale together.

The notation puts ``/`` between stages, ``,`` between paths and ``+`` between operations. A stage starts with its number
of blocks; a path may end with ``@half`` or ``@double`` (of its inner width) and ``@wide`` (the one of three that has
half of the block's width): ``2:conv3x3/3:conv5x5/2:conv3x3+conv1x1@half,depthwise5x5/6:conv3x3``.
"""

from dataclasses import dataclass
from typing import Any

from nasengine.errors import GenotypeError
from search_spaces.operation_sequences import Operations, OperationSequences

POOLS = ("avgpool3x3", "maxpool3x3")
SEQUENCES = OperationSequences(
    main=(
        "conv3x3", "conv5x5", "inception_s3x3", "inception_s5x5", "inception_p3x3", "inception_p5x5",
        "depthwise3x3", "depthwise5x5",
    ),
    supporting=("conv1x1", "double1x1", *POOLS),
)  # fmt: skip
NUM_STAGES = 4
REPEATS = range(2, 7)
NUM_PATHS = range(1, 5)
FEWEST_OF_PATH = {1: 1, 2: 1, 3: 2, 4: 2}
MOST_OF_BLOCK = {1: 3, 2: 4, 3: 8, 4: 10}
"""Operations, by the number of paths."""
INNER_WIDTHS = ("half", "same", "double")
_EXAMPLE = "2:conv3x3/3:conv5x5/2:conv3x3+conv1x1@half,depthwise5x5/6:conv3x3"


@dataclass(frozen=True, slots=True, order=True)
class Path:
    """Operations in a row; ``internal`` is the width between the first and the last that can change it.

    ``wide`` marks the path of three that gets half of the block's width instead of a quarter.
    """

    operations: Operations
    internal: str = "same"
    wide: bool = False


Paths = tuple[Path, ...]


@dataclass(frozen=True, slots=True, order=True)
class Stage:
    """Equal blocks in a row, each of these parallel paths; their order means nothing, so they are sorted."""

    repeats: int
    paths: Paths


Stages = tuple[Stage, ...]


def width_units(stage: int, num_paths: int, wide: bool) -> int:
    """Width that a path hands to the concatenation."""
    whole = 2 ** (stage + 1)
    share = whole if num_paths == 1 else whole // 2 if num_paths == 2 or wide else whole // 4
    return max(1, share)


def internal_units(units: int, internal: str) -> int:
    """Width inside of a path of this width."""
    return {"half": max(1, units // 2), "same": units, "double": 2 * units}[internal]


def changing_places(operations: Operations) -> list[int]:
    """Places of the operations that can change the width: all but pools."""
    return [place for place, operation in enumerate(operations) if operation not in POOLS]


def inner_widths(operations: Operations, units: int) -> list[str]:
    """Inner widths that a path can have and that are not equal to one another."""
    if len(changing_places(operations)) < 2:
        return ["same"]
    return [name for name in INNER_WIDTHS if name == "same" or internal_units(units, name) != units]


def num_wide_paths(number: int, num_paths: int) -> int:
    """Of three paths one is wide, but in the first stage, where all have the least width."""
    return int(num_paths == 3 and number > 0)


def fault_of_stages(stages: Any) -> str | None:
    """What is wrong with a genotype; None where nothing is."""
    if not isinstance(stages, tuple) or not all(isinstance(stage, Stage) for stage in stages):
        return f"expected a tuple of stages, got {str(stages)[:80]}"
    if len(stages) != NUM_STAGES:
        return f"expected {NUM_STAGES} stages with / between them, such as {_EXAMPLE}, got {len(stages)}"
    faults = (fault_of_stage(stage, number) for number, stage in enumerate(stages))
    return next((fault for fault in faults if fault is not None), None)


def fault_of_stage(stage: Stage, number: int) -> str | None:
    """The same of one stage."""
    num_paths, where = len(stage.paths), f"stage {number}"
    if stage.repeats not in REPEATS:
        return f"{where}: expected {REPEATS[0]} to {REPEATS[-1]} blocks, got {stage.repeats}"
    if num_paths not in NUM_PATHS:
        return f"{where}: expected {NUM_PATHS[0]} to {NUM_PATHS[-1]} paths, got {num_paths}"
    num_operations = sum(len(path.operations) for path in stage.paths)
    if num_operations > MOST_OF_BLOCK[num_paths]:
        return f"{where}: expected at most {MOST_OF_BLOCK[num_paths]} operations in its paths, got {num_operations}"
    num_wide = sum(path.wide for path in stage.paths)
    if num_wide != num_wide_paths(number, num_paths):
        return f"{where}: expected {num_wide_paths(number, num_paths)} paths to be @wide, got {num_wide}"
    if stage.paths != tuple(sorted(stage.paths)):
        return f"{where}: expected sorted paths, got them in another order"
    for path in stage.paths:
        fault = _fault_of_path(path, number, num_paths)
        if fault is not None:
            return f"{where}, path {_format_path(path)[:80]!r}: {fault}"
    return None


def _fault_of_path(path: Path, number: int, num_paths: int) -> str | None:
    if len(path.operations) < FEWEST_OF_PATH[num_paths]:
        return f"expected at least {FEWEST_OF_PATH[num_paths]} operations, got {len(path.operations)}"
    fault = SEQUENCES.fault(path.operations)
    if fault is not None:
        return fault
    known = inner_widths(path.operations, width_units(number, num_paths, path.wide))
    if path.internal not in known:
        return f"expected an inner width among {', '.join(known)}, got {path.internal[:40]!r}"
    return None


def parse_stages(text: str) -> Stages:
    """Split up a text, whose parts ``fault_of_stages`` judges.

    Raises:
        GenotypeError: a number of blocks or a mark cannot be read.
    """
    return tuple(_parse_stage(part.strip(), number) for number, part in enumerate(text.split("/")))


def _parse_stage(text: str, number: int) -> Stage:
    repeats, _, paths = text.partition(":")
    if repeats not in map(str, REPEATS):
        raise GenotypeError(
            f"inception genotype, stage {number}: expected {REPEATS[0]} to {REPEATS[-1]} blocks and a colon "
            f"at its start, got {text[:40]!r}; an example: {_EXAMPLE}"
        )
    return Stage(int(repeats), tuple(sorted(_parse_path(part, number) for part in paths.split(","))))


def _parse_path(text: str, number: int) -> Path:
    operations, *marks = (part.strip() for part in text.split("@"))
    internal = marks.pop(0) if marks and marks[0] in ("half", "double") else "same"
    if marks not in ([], ["wide"]):
        raise GenotypeError(
            f"inception genotype, stage {number}: expected a path to end with nothing, @half or @double, and then "
            f"nothing or @wide, got {text[:80]!r}"
        )
    return Path(tuple(part.strip() for part in operations.split("+")), internal, wide=bool(marks))


def format_stages(stages: Stages) -> str:
    """Write a genotype."""
    return "/".join(f"{stage.repeats}:{','.join(map(_format_path, stage.paths))}" for stage in stages)


def _format_path(path: Path) -> str:
    internal = "" if path.internal == "same" else f"@{path.internal}"
    return "+".join(path.operations) + internal + ("@wide" if path.wide else "")
