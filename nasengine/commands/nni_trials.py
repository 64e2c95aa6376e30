"""How many trials ``nasengine nni`` makes, and how each is done: from the options, or from the run that goes on."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasengine.commands.nni_options import NniOptions
from nasengine.errors import ConfigError

if TYPE_CHECKING:
    from nasengine.pipeline import SearchSettings
    from nasengine.protocols import ElasticSpace, SupernetSpace

USUAL_TRIALS = 50
PASSED_ON = ("concurrency", "tuner", "stop_early", "max_seconds", "table", "column", "epochs")
"""Options that are settings of the trials as they are."""


def new_trials(options: NniOptions, space: "SupernetSpace | ElasticSpace") -> dict[str, Any]:
    """What ``TrialSettings`` reads: as long as finalists of the budget, or looked up in a table.

    Raises:
        ConfigError: a number that cannot be, or a table that cannot be read.
    """
    from nasengine.evaluation.table import read_table

    scale = space.scales.get(options.budget)
    count = USUAL_TRIALS if options.trials is None else options.trials
    wanted: dict[str, Any] = {name: getattr(options, name) for name in PASSED_ON} | {"count": count}
    _check_numbers(wanted)
    if scale is not None and options.epochs is None:
        wanted["epochs"] = scale.halving_epochs
    if options.table is not None:
        found = read_table(Path(options.table).resolve(), space, options.column)
        wanted |= {"table": str(found.path), "column": found.column, "table_sha256": found.sha256}
    return wanted


def with_trials(settings: "SearchSettings", run: Path, trials: int | None) -> "SearchSettings":
    """Settings of a resumed run, whose number of trials may be raised.

    What followed the trials is taken back then: another architecture may be the best now.

    Args:
        settings: that the run began with.
        run: its folder.
        trials: in all; None leaves as many as there were to be.

    Raises:
        ConfigError: fewer than the run has.
    """
    from nasengine.pipeline.search import BASELINE, WINNER
    from nasengine.pipeline.trial_results import MORE_TRIALS, with_more_trials
    from nasengine.store import RunStore

    store = RunStore.open(run)
    try:
        settings = with_more_trials(settings, store.events, f"run folder {run}")
        assert settings.trials is not None
        known = settings.trials.count
        if trials is None or trials == known:
            return settings
        _check_numbers({"count": trials})
        if trials < known:
            raise ConfigError(f"--trials: expected at least the {known} that the run has, got {trials}")
        store.discard((WINNER, BASELINE), ("test", "export"))
        store.record(MORE_TRIALS, count=trials)
        return with_more_trials(settings, store.events, f"run folder {run}")
    finally:
        store.close()


def _check_numbers(wanted: Mapping[str, Any]) -> None:
    """See that numbers are possible, in the words of the command."""
    from nasengine.pipeline.trial_settings import MAX_CONCURRENCY, MAX_EPOCHS, MAX_TRIALS

    largest = {"count": MAX_TRIALS, "concurrency": MAX_CONCURRENCY, "epochs": MAX_EPOCHS}
    faults = [
        f"--{'trials' if name == 'count' else name}: expected a number from 1 to {limit}, got {wanted[name]}"
        for name, limit in largest.items()
        if wanted.get(name) is not None and not 1 <= wanted[name] <= limit
    ]
    if faults:
        raise ConfigError(faults)
