"""``nasengine nni``: a search by trials that NNI schedules and shows, live."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasengine.commands.nni_options import NniOptions
from nasengine.commands.nni_trials import new_trials, with_trials
from nasengine.commands.options import Given, takes
from nasengine.commands.report import reported, write_report
from nasengine.commands.run_folders import new_folder, refuse_others
from nasengine.commands.ui import ended_by_signals
from nasengine.errors import ConfigError
from nasengine.report.console import finish, print_table, shown
from nasengine.report.tables import search_table, trials_table

if TYPE_CHECKING:
    from nasengine.integrations.nni.server import View
    from nasengine.pipeline import Search, SearchSettings
    from nasengine.pipeline.trial_results import TrialResult
    from nasengine.pipeline.trial_settings import TrialSettings
    from nasengine.report.progress import RunProgress

USUAL, UNUSED = "predictor_guided", "random"
"""Strategies: without any option, and where one of NNI's tuners proposes."""
ALLOWED_WITH_RESUME = ("resume", "trials", "port", "train", "as_json")


@takes(NniOptions)
def nni(options: NniOptions, given: Given) -> None:
    """Search by trials in an NNI experiment: its page shows them on 127.0.0.1 while they run.

    To look from elsewhere: ssh -L 8080:127.0.0.1:8080 MACHINE, then open http://127.0.0.1:8080 there.
    """

    def show(content: dict[str, Any]) -> None:
        print_table(*(search_table(content) if "onnx" in content else trials_table(content)))

    finish(lambda: _search(options, given), show, options.as_json)


def _search(options: NniOptions, given: Given) -> dict[str, Any]:
    """A new run, or one that goes on."""
    from nasengine.assembly import settings_of
    from nasengine.integrations.nni.live import check_installed
    from nasengine.integrations.nni.server import free_port

    check_installed()
    free_port(options.port)  # fails here, before anything is written
    if options.resume is None:
        settings = _new_settings(options)
        folder = options.out or new_folder(settings, "nni")
        return _run(settings, folder, options.port, is_new=True, train=options.train)
    refuse_others(given, ALLOWED_WITH_RESUME)
    settings = settings_of(options.resume)
    if settings.trials is None:
        raise ConfigError(f"run folder {options.resume}: expected a run of 'nasengine nni', got one of another command")
    _check_table(settings.trials, settings.space)
    settings = with_trials(settings, options.resume, options.trials)
    return _run(settings, options.resume, options.port, is_new=False, train=options.train)


def _new_settings(options: NniOptions) -> "SearchSettings":
    """Settings of a new run, checked.

    Raises:
        ConfigError: lists everything that is wrong.
    """
    from nasengine import registry
    from nasengine.assembly import absolute, device_of
    from nasengine.distribution import threads_for
    from nasengine.pipeline import SearchSettings
    from nasengine.protocols import ElasticSpace, SupernetSpace

    space = registry.load("search space", options.space)
    if not isinstance(space, SupernetSpace | ElasticSpace):
        raise ConfigError(f"search space {space.name!r}: expected one that 'nasengine search' takes, got another")
    if options.strategy is not None and options.tuner is not None:
        raise ConfigError("--tuner: expected no --strategy beside it, since it proposes itself; leave one of them out")
    if options.column is not None and options.table is None:
        raise ConfigError("--column: expected a --table beside it, got none")
    content = {
        "space": options.space, "budget": options.budget, "seed": options.seed,
        "strategy": options.strategy or (USUAL if options.tuner is None else UNUSED),
        "data": absolute(options.data), "target": absolute(options.target), "splits": 0,
        "training": "none", "selection": "trials", "device": device_of(options.device),
        "threads": threads_for(None) if options.concurrency == 1 else 1, "trials": new_trials(options, space),
    }  # fmt: skip
    return SearchSettings.read(content, "nasengine nni")


def _check_table(trials: "TrialSettings", space: str) -> None:
    """See that a resumed run has the table that it began with."""
    from nasengine import registry
    from nasengine.errors import StoreError
    from nasengine.evaluation.table import read_table

    if trials.table is not None:
        found = read_table(Path(trials.table), registry.load("search space", space), trials.column)
        if found.sha256 != trials.table_sha256:
            raise StoreError(f"table {found.path}: expected the one that the run began with, got another; restore it")


def _run(settings: "SearchSettings", folder: Path, port: int, *, is_new: bool, train: bool) -> dict[str, Any]:
    """Do the trials, then what any search does with its winner."""
    from nasengine import registry
    from nasengine.assembly import assemble
    from nasengine.report.progress import make_progress
    from nasengine.report.run_picture import draw_run
    from nasengine.store import RunStore

    registry.load("strategy", settings.strategy)  # fails here, before a folder is made
    progress = make_progress()
    search = assemble(settings, progress)
    store = RunStore.create(folder, settings.model_dump(mode="json")) if is_new else RunStore.open(folder)
    advice = f"go on with: nasengine nni --resume {folder}"
    try:
        with shown(progress, advice), ended_by_signals():
            search.record_inputs(store)
            store.close()  # while the experiment goes on, its tuner writes
            summary = _try_all(settings, search, folder, port, progress)
            if train:
                store = RunStore.open(folder)
                with reported(store):
                    summary = search.run(store)
                    draw_run(store.events, search.space, summary, folder / "report.png")
                    summary |= {"picture": str(folder / "report.png"), "page": write_report(folder)["page"]}
            return summary
    finally:
        store.close()


def _try_all(
    settings: "SearchSettings", search: "Search", folder: Path, port: int, progress: "RunProgress"
) -> dict[str, Any]:
    """All trials of the run; what came out, best first."""
    from nasengine.integrations.nni.live import Experiment
    from nasengine.integrations.nni.recorded_run import RecordedRun

    assert settings.trials is not None
    with tempfile.TemporaryDirectory(prefix="nasengine-nni-") as home:
        recorded = RecordedRun(folder, search.space, settings)
        experiment = Experiment(recorded, settings.trials, Path(home), port)
        progress.begin("trials", settings.trials.count, len(experiment.results()))
        experiment.run(_announce, lambda index, result: progress.advance("trials", index, _shown(result)))
        ended = experiment.results()
    best = max(ended, key=lambda result: -1.0 if result.accuracy is None else result.accuracy)
    return {
        "run": str(folder), "space": settings.space, "settings": settings.model_dump(mode="json"),
        "best": best.model_dump(mode="json"),
        "ends": {status: sum(result.status == status for result in ended) for status in ENDS},
    }  # fmt: skip


ENDS = ("SUCCEEDED", "FAILED", "EARLY_STOPPED")


def _shown(result: "TrialResult") -> dict[str, Any]:
    return {} if result.accuracy is None else {"accuracy": result.accuracy}


def _announce(view: "View") -> None:
    sys.stderr.write(f"trials: {view.url}\nreachable from this machine alone; Ctrl-C ends the experiment\n")
    sys.stderr.flush()
