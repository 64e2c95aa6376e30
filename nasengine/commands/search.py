"""``nasengine search``: from images to a trained network and a checked ONNX file."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasengine.commands.amounts import amount, amounts
from nasengine.commands.data_parallel import OwnProcess, in_every_process, resume_command
from nasengine.commands.init import FOLDER, make_family, names, numbers
from nasengine.commands.options import Given, takes
from nasengine.commands.report import reported, write_report
from nasengine.commands.run_folders import new_folder, refuse_others
from nasengine.commands.search_options import SearchOptions
from nasengine.report.console import finish, print_table, shown
from nasengine.report.tables import family_table, search_table

if TYPE_CHECKING:
    from nasengine.pipeline import Search, SearchSettings
    from nasengine.report.progress import RunProgress
    from nasengine.store import RunStore

ALLOWED_WITH_RESUME = ("resume", "workers", "tensorboard", "as_json")
LIMITS = ("max_bytes", "max_peak_bytes", "max_macs", "max_parameters")


@takes(SearchOptions)
def search(options: SearchOptions, given: Given) -> None:
    """Search an architecture for your images, train it, test it and export it to ONNX."""
    finish(in_every_process(lambda own: _search(options, given, own)), _show, options.as_json)


def _search(options: SearchOptions, given: Given, own: OwnProcess) -> dict[str, Any]:
    from nasengine.integrations.tensorboard import EventFiles
    from nasengine.optimization import is_first_process
    from nasengine.report.progress import make_progress

    progress = EventFiles(make_progress()) if options.tensorboard else make_progress()
    if options.resume is not None:
        refuse_others(given, ALLOWED_WITH_RESUME)
        run, store = _resumed(options.resume, options.workers, own, progress)
    else:
        run, store = _begun(options, own, progress)
    if isinstance(progress, EventFiles) and is_first_process():
        progress.write_below(store.folder)
    return run_search(run, store, progress)


def _begun(options: SearchOptions, own: OwnProcess, progress: "RunProgress") -> tuple["Search", "RunStore"]:
    """A new run."""
    from nasengine.assembly import assemble
    from nasengine.distribution import make_workers

    settings = _new_settings(options, own)
    run = assemble(settings, progress, workers=make_workers(options.workers, settings, progress))
    folder = options.out or new_folder(settings, settings.budget)
    return run, own.create(folder, settings.model_dump(mode="json"))


def _resumed(
    folder: Path, workers: str | None, own: OwnProcess, progress: "RunProgress"
) -> tuple["Search", "RunStore"]:
    """A run that goes on with its own settings."""
    from nasengine.assembly import assemble, settings_of
    from nasengine.distribution import make_workers

    settings = settings_of(folder)
    own.join(settings.device, workers, expected=settings.processes)
    run = assemble(settings, progress, workers=make_workers(workers, settings, progress))
    return run, own.open(folder)


def _new_settings(options: SearchOptions, own: OwnProcess) -> "SearchSettings":
    """Settings of a new run, checked.

    Raises:
        ConfigError: lists everything that is wrong.
    """
    from nasengine.assembly import absolute, completed, device_of
    from nasengine.distribution import threads_for
    from nasengine.pipeline import SearchSettings

    content = {name: value for name, value in vars(options).items() if name in SearchSettings.model_fields}
    content |= {name: absolute(content[name]) for name in ("data", "predictor", "target")}
    content |= completed(options.space, options.training, options.selection, options.strategy)
    content |= {name: amount(content[name], f"--{name.replace('_', '-')}") for name in LIMITS}
    content |= {"also_macs": amounts(options.also_macs, "--also-macs")}
    content |= {"depths": numbers(options.depths, "--depths"), "sizes": names(options.sizes)}
    content |= {"device": device_of(options.device), "threads": threads_for(options.workers)}
    content |= {"processes": own.join(content["device"], options.workers)}
    return SearchSettings.read(content, "nasengine search")


def run_search(search: "Search", store: "RunStore", progress: "RunProgress") -> dict[str, Any]:
    """Run it, draw it, make its family if it ends with one, and write its page.

    Returns:
        The summary.
    """
    from nasengine.optimization import is_first_process
    from nasengine.report.run_picture import draw_run

    advice = f"go on with: {resume_command(store.folder, search.settings.processes)}"
    with closing(store), shown(progress, advice), reported(store):
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


def _show(content: dict[str, Any]) -> None:
    print_table(*search_table(content))
    if "family" in content:
        print_table(*family_table(content["family"]))
