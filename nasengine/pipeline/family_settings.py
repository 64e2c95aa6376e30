"""Everything that a family depends on; it is the first line of its journal."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nasengine.errors import ConfigError
from nasengine.initialization.stages import DepthRule
from nasengine.pipeline.settings import validated


class FamilySettings(BaseModel):
    """Settings of ``nasengine init``.

    Args:
        run: folder of the search whose winner is the ancestor.
        weights_sha256: of the ancestor's weights, so that a resumed family has the same one.
        depths: of the descendants: cells (in each stage, for nasbench201), or blocks of a transformer.
        widths: channels of the first cells, or the embedding's size.
        epochs: of the auxiliary network.
        tuning_epochs: of each descendant.
        distillation_weight, temperature: see ``nasengine.evaluation.distillation``.
        elastic: the auxiliary network is trained at all depths, one drawn for each batch; otherwise at the largest.
        stages: of each run of equal units, or sizes of all of them.
        depth_rule: how units are dealt to stages at another depth.
        rescale: scale residual updates by how often a unit is repeated.
        tuning_rate: learning rate of descendants as a share of the auxiliary network's.
        learngene, learngene_sha256: path and hash of one that is there already, instead of an auxiliary network.
        teacher_depth, teacher_width: of a network of the ancestor's architecture that is trained first, as the ancestor
            was, for the auxiliary network to learn from; None for both lets it learn from the ancestor.
        compare: train each size from scratch for as many epochs, too.
        seed, threads, device: as in a search.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    weights_sha256: str
    depths: tuple[int, ...] = Field(min_length=1, max_length=100)
    widths: tuple[int, ...] = Field(min_length=1, max_length=100)
    epochs: int = Field(ge=1, le=10_000)
    tuning_epochs: int = Field(ge=0, le=10_000)
    distillation_weight: float = Field(default=0.9, ge=0, le=1)
    temperature: float = Field(default=2.0, gt=0, le=100)
    elastic: bool = True
    stages: int | tuple[int, ...] = 1
    depth_rule: DepthRule = "even"
    rescale: bool = False
    tuning_rate: float = Field(default=0.2, gt=0, le=10)
    learngene: str | None = None
    learngene_sha256: str | None = None
    teacher_depth: int | None = Field(default=None, ge=1, le=4096)
    teacher_width: int | None = Field(default=None, ge=1, le=4096)
    compare: bool = True
    seed: int = Field(default=0, ge=0, lt=2**63)
    threads: int = Field(default=1, ge=1)
    device: Literal["cpu", "cuda"] = "cpu"

    @classmethod
    def read(cls, content: dict[str, Any], where: str) -> "FamilySettings":
        """Check values that come from outside.

        Raises:
            ConfigError: lists everything that is wrong.
        """
        return validated(cls, content, where)


SIZES = {"small": 0.5, "medium": 1.0, "large": 2.0}
"""Depth as a multiple of the winner's."""
MAX_SIZE = 4096


def chosen_sizes(
    own_depth: int, own_width: int, *, depths: tuple[int, ...], widths: tuple[int, ...], sizes: tuple[str, ...]
) -> dict[str, tuple[int, ...]]:
    """Depths and widths of a family, from numbers or names; the ancestor's own where none are given.

    Raises:
        ConfigError: a name that means nothing, or depths beside names.

    >>> chosen_sizes(4, 16, depths=(), widths=(), sizes=("small", "large"))
    {'depths': (2, 8), 'widths': (16,)}
    """
    unknown = [name for name in sizes if name not in SIZES]
    if unknown or (sizes and depths):
        raise ConfigError(
            f"--sizes: expected names among {', '.join(SIZES)}, and no --depths beside them, "
            f"got {', '.join(sizes)}{' and depths' if depths else ''}"
        )
    largest = max((*depths, *widths), default=1)
    if largest > MAX_SIZE:
        raise ConfigError(f"sizes: expected depths and widths of at most {MAX_SIZE}, got {largest}")
    named = tuple(dict.fromkeys(max(1, round(SIZES[name] * own_depth)) for name in sizes))
    return {"depths": depths or named or (own_depth,), "widths": widths or (own_width,)}
