"""What ``nasengine search`` does once its settings are known."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nasengine.commands.data_parallel import resume_command
from nasengine.commands.init import FOLDER, make_family
from nasengine.commands.report import reported, write_report
from nasengine.errors import ConfigError
from nasengine.report.console import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from nasengine.pipeline import Search, SearchSettings
    from nasengine.report.progress import RunProgress
    from nasengine.store import RunStore

RUNS_FOLDER = Path("runs")
RUN_OPTIONS = ("resume", "workers", "tensorboard", "as_json")
"""What a resumed run takes beside its own settings."""


def run_search(search: "Search", store: "RunStore", progress: "RunProgress") -> dict[str, Any]:
    """Run it, draw it, make its family if it ends with one, and write its page.

    Returns:
        The summary.
    """
    from nasengine.optimization import is_first_process
    from nasengine.report.run_picture import draw_run

    try:
        progress.start()
        with reported(store):
            summary = search.run(store)
            summary |= {"picture": str(store.folder / "report.png")}
            if is_first_process():
                draw_run(store.events, search.space, summary, store.folder / "report.png")
            depths, sizes = search.settings.depths, search.settings.sizes
            if depths or sizes:
                chosen = {"depths": depths, "widths": (), "sizes": sizes}
                usual = {"epochs": None, "tuning_epochs": None}
                summary["family"] = make_family(search, store, store.folder / FOLDER, chosen, usual)
            if is_first_process():
                summary["page"] = write_report(store.folder)["page"]
        return summary
    except KeyboardInterrupt:
        progress.stop()
        sys.stderr.write(f"interrupted; go on with: {resume_command(store.folder, search.settings.processes)}\n")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    finally:
        progress.stop()
        store.close()


def refuse_others(context: Any) -> None:
    """A resumed run has its settings already; others beside --resume would be ignored without a word."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    others = sorted(f"--{name.replace('_', '-')}" for name in given if name not in RUN_OPTIONS)
    if others:
        raise ConfigError(
            f"--resume: expected no other settings, since the run has its own, got {', '.join(others)}; "
            "leave them out, or start a new run with --out"
        )


def new_folder(settings: "SearchSettings") -> Path:
    data = Path(settings.data.replace(":", "-")).name or "data"
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    return RUNS_FOLDER / f"{settings.space}-{data}-{settings.budget}-{stamp}"
