"""Everything that a family depends on; it is the first line of its journal."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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
