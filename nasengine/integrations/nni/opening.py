"""A run of trials put together from its folder."""

import random
from pathlib import Path

from nasengine import registry
from nasengine.errors import ConfigError, NasEngineError
from nasengine.integrations.nni.own_tuners import OwnTuner
from nasengine.integrations.nni.proposals import Proposals
from nasengine.pipeline.settings import SearchSettings
from nasengine.pipeline.trial_results import with_more_trials
from nasengine.protocols import ElasticSpace, Strategy, SupernetSpace
from nasengine.randomness import seed_of
from nasengine.store import RunStore


def opened_proposals(run: Path) -> Proposals:
    """Open a run for writing and put its strategy where the journal says it was.

    Raises:
        StoreError: no run, or one that another process works on.
        ConfigError: a run without trials, or a part that is missing.
    """
    store = RunStore.open(run)
    try:
        where = f"run folder {run}"
        settings = with_more_trials(SearchSettings.read(store.settings, f"{where}, settings"), store.events, where)
        if settings.trials is None:
            raise ConfigError(f"run folder {run}: expected a run of 'nasengine nni', got one of another command")
        space = registry.load("search space", settings.space)
        return Proposals(store, space, strategy_of(space, settings), settings.trials.count)
    except NasEngineError:
        store.close()
        raise


def strategy_of(space: SupernetSpace | ElasticSpace, settings: SearchSettings) -> Strategy:
    """What proposes the trials of a run, new.

    Raises:
        UnknownNameError: no such strategy.
    """
    assert settings.trials is not None
    seed = seed_of(settings.seed, "trials")
    if settings.trials.tuner is not None:
        return OwnTuner(space, settings.trials.tuner, seed)
    found: Strategy = registry.load("strategy", settings.strategy)(space, random.Random(seed))
    return found
