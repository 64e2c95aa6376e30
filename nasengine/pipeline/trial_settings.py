"""Settings of a search whose architecture comes from trials rather than from a supernet."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_TRIALS, MAX_CONCURRENCY, MAX_EPOCHS = 10_000, 64, 10_000


class TrialSettings(BaseModel):
    """Trials of ``nasengine nni``.

    Args:
        count: trials, failed ones included.
        concurrency: trials at a time.
        tuner: one of NNI's own instead of a strategy.
        table: file of accuracies that trials look up instead of training.
        column: of the table.
        table_sha256: of that file.
        epochs: that a trial trains.
        stop_early: end trials that are below the median of others.
        max_seconds: after which a trial has failed; None for no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(default=50, ge=1, le=MAX_TRIALS)
    concurrency: int = Field(default=1, ge=1, le=MAX_CONCURRENCY)
    tuner: Literal["TPE", "Evolution", "Random"] | None = None
    table: str | None = None
    column: str | None = None
    table_sha256: str | None = None
    epochs: int = Field(default=1, ge=1, le=MAX_EPOCHS)
    stop_early: bool = False
    max_seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
