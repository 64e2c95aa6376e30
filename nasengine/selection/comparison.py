"""Which of several changes to a supernet hurts it most or least, from as few validation batches as that takes.

All changes are measured on the same batches, so that differences between them are paired image by image. A change
leaves the race as soon as its paired difference to the leader is many standard errors wide; the standard error counts
that the images come from a finite set, so that what is still open at the end is decided by all of them, exactly as
without stopping. (Successive rejects on paired differences; the correction is Cochran's, Sampling Techniques, 1977.)
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from nasengine.data.batches import Batch

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Stopping:
    """When a change leaves the race.

    Args:
        standard_errors: width of a difference that counts as certain; None looks at all images always.
        min_images: before anything leaves.
    """

    standard_errors: float | None = 2.0
    min_images: int = 200


@dataclass(frozen=True)
class Comparison(Generic[Name]):
    """Outcome of a comparison.

    Args:
        chosen: the change that hurts most, or least.
        damage: mean damage of each change on the images that it was measured on.
        num_images: images that each change was measured on.
        available: images that there are.
    """

    chosen: Name
    damage: dict[Name, float]
    num_images: dict[Name, int]
    available: int

    @property
    def num_passes(self) -> float:
        """Forward passes over all images that this took."""
        return sum(self.num_images.values()) / self.available


def compare(
    changes: Sequence[Name],
    batches: Iterable[Batch],
    num_images: int,
    damage: Callable[[Name, Batch], Float[Tensor, "batch"]],
    *,
    most: bool,
    stopping: Stopping,
) -> Comparison[Name]:
    """Find the change that does the most (or least) damage; of equal ones the first.

    Args:
        changes: what is compared, at least one.
        batches: the images; every change sees them in this order.
        num_images: in all batches together.
        damage: of a change, image by image.
        most: look for the most damage, otherwise for the least.
        stopping: when changes leave the race.
    """
    seen: dict[Name, list[Tensor]] = {change: [] for change in changes}
    alive = list(changes)
    for batch in batches:
        for change in alive:
            seen[change].append(damage(change, batch).double().cpu())
        num_seen = sum(map(len, seen[alive[0]]))
        if stopping.standard_errors is not None and num_seen >= stopping.min_images:
            values = {change: torch.cat(seen[change]) for change in alive}
            leader = _leader(alive, values, most)
            widths = {change: _standard_errors(values[leader], values[change], num_images) for change in alive}
            alive = [name for name in alive if name == leader or widths[name] < stopping.standard_errors]
        if len(alive) == 1 and stopping.standard_errors is not None:
            break
    values = {change: torch.cat(seen[change]) for change in changes}
    return Comparison(
        _leader(alive, values, most),
        {change: float(values[change].mean()) for change in changes},
        {change: len(values[change]) for change in changes},
        num_images,
    )


def _leader(alive: Iterable[Name], values: dict[Name, Tensor], most: bool) -> Name:
    sign = 1.0 if most else -1.0
    return max(alive, key=lambda change: sign * float(values[change].mean()))


def _standard_errors(leader: Tensor, other: Tensor, total: int) -> float:
    """Width of the mean difference in standard errors; infinite once all images were seen and it is not zero.

    >>> _standard_errors(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0]), 1000)  # mean 2, variance 2, two images
    2.002...
    """
    difference = leader - other
    mean, count = abs(float(difference.mean())), len(difference)
    unseen = 1.0 - count / total
    error = math.sqrt(float(difference.var()) / count * unseen) if count > 1 else math.inf
    if error == 0.0:
        return math.inf if mean > 0 and unseen == 0.0 else 0.0
    return mean / error
