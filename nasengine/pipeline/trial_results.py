"""Trials as a run's journal holds them: which architecture, how it ended, what was measured."""

from collections.abc import Callable, Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from nasengine.architecture import Architecture
from nasengine.errors import GenotypeError, StoreError
from nasengine.pipeline.settings import SearchSettings
from nasengine.protocols import SearchSpace
from nasengine.store import RunStore
from nasengine.store.journal import Event

PROPOSAL, TRIAL = "proposal", "trial"
MORE_TRIALS = "more-trials"
"""The event that raises their number."""
LOGS = "trials"
"""Folder of a run with what its trials wrote."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Metrics = dict[str, Finite]


class TrialResult(BaseModel):
    """How a trial ended.

    Args:
        number: of the trial, from 0 in the order in which architectures were proposed.
        genotype: as the space prints it.
        status: as NNI calls it.
        accuracy: on validation images, or from a table; None where the trial did not come to its end.
        metrics: costs beside it.
        epochs: what it reported on the way; ``default`` is the accuracy.
        reason: why it failed.
        time, seconds: when it ended, in seconds since 1970, and how long it took.
        log: its output, a file in the run folder.
    """

    number: int = Field(ge=0)
    genotype: str = Field(max_length=10_000)
    status: Literal["SUCCEEDED", "FAILED", "EARLY_STOPPED"]
    accuracy: float | None = Field(default=None, ge=0, le=1)
    metrics: Metrics = Field(default_factory=dict)
    epochs: list[Metrics] = Field(default_factory=list)
    reason: str = Field(default="", max_length=10_000)
    time: float = Field(default=0.0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    log: str = ""


def with_more_trials(settings: SearchSettings, events: Iterable[Event], where: str) -> SearchSettings:
    """Settings with as many trials as the run was given last.

    Raises:
        ConfigError: a number that cannot be.
    """
    counts = [event.get("count") for event in events if event["event"] == MORE_TRIALS]
    if not counts or settings.trials is None:
        return settings
    content = settings.model_dump(mode="json")
    content["trials"]["count"] = counts[-1]
    return SearchSettings.read(content, f"{where}, {MORE_TRIALS}")


def results_in(events: Iterable[Event], where: str) -> list[TrialResult]:
    """Trials that have ended, in the order in which they did.

    Raises:
        StoreError: an event that no run writes.
    """
    found = []
    for event in events:
        if event["event"] == TRIAL:
            try:
                found.append(TrialResult.model_validate(event))
            except ValidationError as fault:
                first = fault.errors(include_url=False, include_input=False)[0]
                raise StoreError(f"{where}: expected a trial as a run writes it, got {first['msg']}") from fault
    return found


def best_trial(store: RunStore, space: SearchSpace, is_able: Callable[[Architecture], bool]) -> Architecture:
    """The most accurate architecture of a run's trials; of equals, the first to end.

    Args:
        store: of the run.
        space: that it searches.
        is_able: whether an architecture keeps the limits of the run.

    Raises:
        StoreError: trials are missing, are of another space, or none gave a result that counts.
    """
    where, raised = f"run folder {store.folder}", store.last(MORE_TRIALS)
    count = store.settings["trials"]["count"] if raised is None else raised["count"]
    results = results_in(store.events, where)
    if len(results) < count:
        raise StoreError(
            f"{where}: expected {count} trials that have ended, got {len(results)}; "
            f"go on with: nasengine nni --resume {store.folder}"
        )
    ended = [(result.accuracy, result.genotype) for result in results if result.accuracy is not None]
    for _, genotype in sorted(ended, key=lambda entry: -entry[0]):
        try:
            architecture = space.parse(genotype)
        except GenotypeError as fault:
            raise StoreError(f"{where}: expected genotypes of {space.name}, got another: {fault}") from fault
        if is_able(architecture):
            return architecture
    raise StoreError(f"{where}: expected a trial with a result that keeps all limits, got none; see {LOGS}/ there")


def ends_of_trials(store: RunStore) -> dict[str, int] | None:
    """How many trials ended how; None where there were none."""
    ends = [result.status for result in results_in(store.events, f"run folder {store.folder}")]
    return {status: ends.count(status) for status in sorted(set(ends))} or None
