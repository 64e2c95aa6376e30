"""``nasengine nni``: a search by trials that NNI schedules and shows, live."""

import inspect
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.commands.report import reported, write_report
from nasengine.commands.ui import ended_by_signals
from nasengine.errors import ConfigError
from nasengine.report.console import EXIT_INTERRUPTED, Json, finish, print_table
from nasengine.report.tables import search_table, trials_table

if TYPE_CHECKING:
    from nasengine.integrations.nni.server import View
    from nasengine.pipeline import Search, SearchSettings
    from nasengine.pipeline.trial_results import TrialResult
    from nasengine.pipeline.trial_settings import TrialSettings
    from nasengine.report.progress import RunProgress

RUNS_FOLDER = Path("runs")
USUAL, UNUSED = "predictor_guided", "random"
"""Strategies: without any option, and where one of NNI's tuners proposes."""
USUAL_TRIALS = 50
ALLOWED_WITH_RESUME = ("resume", "trials", "port", "train", "as_json")


def nni(
    space: Annotated[str, typer.Option(help="Search space of cells; see 'nasengine spaces'.")] = "darts",
    strategy: Annotated[
        str | None, typer.Option(help="Proposes architectures.", show_default="predictor_guided")
    ] = None,
    tuner: Annotated[
        str | None, typer.Option(help="One of NNI's own instead: TPE, Evolution or Random.", show_default="none")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Trials, failed ones included; with --resume, more.", show_default="50")
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Trials at a time.")] = 1,
    table: Annotated[
        str | None, typer.Option(help="CSV of accuracies to look up instead of training.", show_default="none")
    ] = None,
    column: Annotated[str | None, typer.Option(help="Column of the table.", show_default="of full training")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="That a trial trains.", show_default="as finalists of the budget")
    ] = None,
    stop_early: Annotated[bool, typer.Option("--stop-early", help="End trials below the median of others.")] = False,
    max_seconds: Annotated[float | None, typer.Option(help="Limit of a trial.", show_default="none")] = None,
    data: Annotated[
        str, typer.Option(help="'digits', a folder of images or parquet files, an .npz file, or hub:NAME.")
    ] = "digits",
    budget: Annotated[str, typer.Option(help="quick, standard or full.")] = "standard",
    seed: Annotated[int, typer.Option(help="All randomness of the run comes from it.")] = 0,
    target: Annotated[
        str | None, typer.Option(help="Device that the winner is for; see 'nasengine target list'.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page, on 127.0.0.1; 0 takes a free one.")] = 8080,
    train: Annotated[
        bool, typer.Option("--train/--no-train", help="Train, test and export the winner after the trials.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="Run folder, new or empty.", show_default="runs/SPACE-DATA-TIME")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run; its own settings count.")] = None,
    as_json: Json = False,
) -> None:
    """Search by trials in an NNI experiment: its page shows them on 127.0.0.1 while they run.

    To look from elsewhere: ssh -L 8080:127.0.0.1:8080 MACHINE, then open http://127.0.0.1:8080 there.
    """
    given = dict(locals())

    def work() -> dict[str, Any]:
        from nasengine.assembly import settings_of
        from nasengine.integrations.nni.live import check_installed
        from nasengine.integrations.nni.server import free_port

        check_installed()
        free_port(port)  # fails here, before anything is written
        if resume is None:
            chosen = {"strategy": strategy, "data": data, "budget": budget, "seed": seed, "target": target}
            wanted = {
                "count": USUAL_TRIALS if trials is None else trials, "concurrency": concurrency, "tuner": tuner,
                "stop_early": stop_early, "max_seconds": max_seconds, "table": table, "column": column,
                "epochs": epochs,
            }  # fmt: skip
            settings = _new_settings({"space": space, "device": device, **chosen}, wanted)
            return _run(settings, out or _new_folder(settings), port, is_new=True, train=train)
        _refuse_others(given)
        settings = settings_of(resume)
        if settings.trials is None:
            raise ConfigError(f"run folder {resume}: expected a run of 'nasengine nni', got one of another command")
        _check_table(settings.trials, settings.space)
        settings = _with_trials(settings, resume, trials)
        return _run(settings, resume, port, is_new=False, train=train)

    def show(content: dict[str, Any]) -> None:
        print_table(*(search_table(content) if "onnx" in content else trials_table(content)))

    finish(work, show, as_json)


def _new_settings(chosen: dict[str, Any], wanted: dict[str, Any]) -> "SearchSettings":
    """Settings of a new run, checked.

    Raises:
        ConfigError: lists everything that is wrong.
    """
    from nasengine import registry
    from nasengine.assembly import absolute, device_of
    from nasengine.distribution import threads_for
    from nasengine.evaluation.table import read_table
    from nasengine.pipeline import SearchSettings
    from nasengine.protocols import SupernetSpace

    _check_numbers(wanted)
    space = registry.load("search space", chosen["space"])
    if not isinstance(space, SupernetSpace):
        raise ConfigError(f"search space {space.name!r}: expected one of cells, got another; see 'nasengine spaces'")
    if chosen["strategy"] is not None and wanted["tuner"] is not None:
        raise ConfigError("--tuner: expected no --strategy beside it, since it proposes itself; leave one of them out")
    if wanted["column"] is not None and wanted["table"] is None:
        raise ConfigError("--column: expected a --table beside it, got none")
    scale = space.scales.get(chosen["budget"])
    usual: dict[str, Any] = {"epochs": scale.halving_epochs} if scale is not None and wanted["epochs"] is None else {}
    if wanted["table"] is not None:
        found = read_table(Path(wanted["table"]).resolve(), space, wanted["column"])
        usual |= {"table": str(found.path), "column": found.column, "table_sha256": found.sha256}
    content = {
        **chosen, "strategy": chosen["strategy"] or (USUAL if wanted["tuner"] is None else UNUSED),
        "data": absolute(chosen["data"]), "target": absolute(chosen["target"]), "splits": 0,
        "training": "none", "selection": "trials", "device": device_of(chosen["device"]),
        "threads": threads_for(None) if wanted["concurrency"] == 1 else 1, "trials": {**wanted, **usual},
    }  # fmt: skip
    return SearchSettings.read(content, "nasengine nni")


def _check_numbers(wanted: dict[str, Any]) -> None:
    """See that numbers are possible, in the words of the command."""
    from nasengine.pipeline.trial_settings import MAX_CONCURRENCY, MAX_EPOCHS, MAX_TRIALS

    largest = {"count": MAX_TRIALS, "concurrency": MAX_CONCURRENCY, "epochs": MAX_EPOCHS}
    faults = [
        f"--{'trials' if name == 'count' else name}: expected a number from 1 to {limit}, got {wanted[name]}"
        for name, limit in largest.items()
        if wanted[name] is not None and not 1 <= wanted[name] <= limit
    ]
    if faults:
        raise ConfigError(faults)


def _with_trials(settings: "SearchSettings", run: Path, trials: int | None) -> "SearchSettings":
    """Settings of a resumed run, whose number of trials may be raised.

    What followed the trials is taken back then: another architecture may be the best now.
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
        _check_numbers({"count": trials, "concurrency": None, "epochs": None})
        if trials < known:
            raise ConfigError(f"--trials: expected at least the {known} that the run has, got {trials}")
        store.discard((WINNER, BASELINE), ("test", "export"))
        store.record(MORE_TRIALS, count=trials)
        return with_more_trials(settings, store.events, f"run folder {run}")
    finally:
        store.close()


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
    try:
        with ended_by_signals():
            progress.start()
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
    except KeyboardInterrupt:
        progress.stop()
        sys.stderr.write(f"interrupted; go on with: nasengine nni --resume {folder}\n")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    finally:
        progress.stop()
        store.close()


def _try_all(
    settings: "SearchSettings", search: "Search", folder: Path, port: int, progress: "RunProgress"
) -> dict[str, Any]:
    """All trials of the run; what came out, best first."""
    from nasengine.integrations.nni.live import Experiment
    from nasengine.integrations.nni.recorded_run import RecordedRun
    from nasengine.protocols import SupernetSpace

    assert settings.trials is not None
    assert isinstance(search.space, SupernetSpace)  # the others have been refused
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


def _refuse_others(given: dict[str, Any]) -> None:
    """A resumed run has its settings already; others beside --resume would be ignored without a word."""
    usual = {name: parameter.default for name, parameter in inspect.signature(nni).parameters.items()}
    changed = [name for name, value in given.items() if value != usual[name] and name not in ALLOWED_WITH_RESUME]
    if changed:
        others = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in changed))
        raise ConfigError(
            f"--resume: expected no other settings, since the run has its own, got {others}; "
            "leave them out, or start a new run with --out"
        )


def _new_folder(settings: "SearchSettings") -> Path:
    data = Path(settings.data.replace(":", "-")).name or "data"
    return RUNS_FOLDER / f"{settings.space}-{data}-nni-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
