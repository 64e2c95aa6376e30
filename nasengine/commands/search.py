"""``nasengine search``: from images to a trained network and a checked ONNX file."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.commands.amounts import amount
from nasengine.commands.data_parallel import OwnProcess, in_every_process, resume_command
from nasengine.commands.init import FOLDER, make_family, names, numbers
from nasengine.commands.report import reported, write_report
from nasengine.commands.workers import WorkersOption
from nasengine.errors import ConfigError
from nasengine.report.console import EXIT_INTERRUPTED, Json, finish, print_table
from nasengine.report.tables import family_table, search_table

if TYPE_CHECKING:
    from nasengine.pipeline import Search, SearchSettings
    from nasengine.report.progress import RunProgress
    from nasengine.store import RunStore

RUNS_FOLDER = Path("runs")
RUN_OPTIONS = ("resume", "workers", "tensorboard", "as_json")
"""What a resumed run takes beside its own settings."""


def search(
    context: typer.Context,
    space: Annotated[str, typer.Option(help="Search space; see 'nasengine spaces'.")] = "darts",
    data: Annotated[
        str, typer.Option(help="'digits', a folder of images or parquet files, an .npz file, or hub:NAME.")
    ] = "digits",
    budget: Annotated[
        str, typer.Option(help="quick (under a minute), standard (minutes), full (the paper's setting).")
    ] = "standard",
    seed: Annotated[int, typer.Option(help="All randomness of the run comes from it.")] = 0,
    training: Annotated[
        str | None,
        typer.Option(
            help="fixed, darts, darts-second-order, snas, beta-darts, drnas, proxyless, single-path; or sandwich, "
            "shrinking.",
            show_default="fixed; sandwich for elastic",
        ),
    ] = None,
    selection: Annotated[
        str | None,
        typer.Option(
            help="perturbation, magnitude or sampled-paths.",
            show_default="perturbation; sampled-paths for single-path and elastic",
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="Proposes paths for sampled-paths.", show_default="random; regularized_evolution for elastic"
        ),
    ] = None,
    fine_tune: Annotated[
        bool,
        typer.Option(
            "--fine-tune/--from-scratch", help="Networks from an elastic supernet inherit its weights, or begin anew."
        ),
    ] = True,
    predictor: Annotated[
        str | None,
        typer.Option(help="Ranks architectures before any training: gennape, or a file.", show_default="none"),
    ] = None,
    pool: Annotated[int, typer.Option(help="Architectures that the predictor ranks.")] = 400,
    splits: Annotated[
        int | None,
        typer.Option(
            help="Levels at which the supernet is split where its candidates disagree; 0 for one supernet.",
            show_default="the budget's",
        ),
    ] = None,
    ways: Annotated[int, typer.Option(help="Parts at each split.")] = 2,
    split_by: Annotated[
        str, typer.Option(help="gradient-matching, or to compare with: random or exhaustive.")
    ] = "gradient-matching",
    restart_leaves: Annotated[
        bool,
        typer.Option("--restart/--inherit", help="Leaves begin with new weights, or with those of the supernet."),
    ] = True,
    preset: Annotated[
        str | None,
        typer.Option(help="A published schedule of splits: nasbench201, nasbench201-single-path or darts."),
    ] = None,
    depths: Annotated[
        str, typer.Option(help="End with the winner at these depths, with commas; see 'nasengine init'.")
    ] = "",
    sizes: Annotated[str, typer.Option(help="Or in these sizes: small, medium, large.")] = "",
    target: Annotated[
        str | None, typer.Option(help="Device that the winner is for; see 'nasengine target list'.")
    ] = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="Limit on the device's latency.")] = None,
    max_bytes: Annotated[str, typer.Option(help="Limit on the ONNX file, such as 900KB or 1MB.")] = "",
    max_peak_bytes: Annotated[str, typer.Option(help="Limit on memory of activations, such as 256KiB.")] = "",
    max_macs: Annotated[str, typer.Option(help="Limit on multiply-accumulates, such as 20M.")] = "",
    max_parameters: Annotated[str, typer.Option(help="Limit on parameters, such as 100K.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    learning_rate: Annotated[float | None, typer.Option(help="Override the budget's learning rates.")] = None,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 for training on a GPU.")] = "float32",
    compiled: Annotated[bool, typer.Option("--compile", help="Compile networks with torch.compile.")] = False,
    workers: WorkersOption = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard's event files to the run folder, too.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Run folder, new or empty.", show_default="runs/SPACE-DATA-TIME")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run; its own settings count.")] = None,
    as_json: Json = False,
) -> None:
    """Search an architecture for your images, train it, test it and export it to ONNX."""

    def work(own: OwnProcess) -> dict[str, Any]:
        from nasengine.assembly import absolute, assemble, completed, device_of, settings_of
        from nasengine.distribution import make_workers, threads_for
        from nasengine.integrations.tensorboard import EventFiles
        from nasengine.optimization import is_first_process
        from nasengine.pipeline import SearchSettings
        from nasengine.report.progress import make_progress

        progress = EventFiles(make_progress()) if tensorboard else make_progress()
        if resume is not None:
            _refuse_others(context)
            settings = settings_of(resume)
            own.join(settings.device, workers, expected=settings.processes)
            run = assemble(settings, progress, workers=make_workers(workers, settings, progress))
            store = own.open(resume)
        else:
            content = {name: value for name, value in context.params.items() if name in SearchSettings.model_fields}
            content |= {"data": absolute(data), "predictor": absolute(predictor), "target": absolute(target)}
            content |= completed(space, training, selection, strategy)
            amounts = {"max_bytes": max_bytes, "max_peak_bytes": max_peak_bytes, "max_macs": max_macs,
                       "max_parameters": max_parameters}  # fmt: skip
            content |= {name: amount(text, f"--{name.replace('_', '-')}") for name, text in amounts.items()}
            content |= {"depths": numbers(depths, "--depths"), "sizes": names(sizes)}
            content |= {"device": device_of(device), "threads": threads_for(workers)}
            content |= {"processes": own.join(content["device"], workers)}
            settings = SearchSettings.read(content, "nasengine search")
            run = assemble(settings, progress, workers=make_workers(workers, settings, progress))
            folder = out or _new_folder(settings)
            store = own.create(folder, settings.model_dump(mode="json"))
        if isinstance(progress, EventFiles) and is_first_process():
            progress.write_below(store.folder)
        return _run(run, store, progress)

    def show(content: dict[str, Any]) -> None:
        print_table(*search_table(content))
        if "family" in content:
            print_table(*family_table(content["family"]))

    finish(in_every_process(work), show, as_json)


def _run(search: "Search", store: "RunStore", progress: "RunProgress") -> dict[str, Any]:
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


def _refuse_others(context: typer.Context) -> None:
    """A resumed run has its settings already; others beside --resume would be ignored without a word."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    others = sorted(f"--{name.replace('_', '-')}" for name in given if name not in RUN_OPTIONS)
    if others:
        raise ConfigError(
            f"--resume: expected no other settings, since the run has its own, got {', '.join(others)}; "
            "leave them out, or start a new run with --out"
        )


def _new_folder(settings: "SearchSettings") -> Path:
    data = Path(settings.data.replace(":", "-")).name or "data"
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    return RUNS_FOLDER / f"{settings.space}-{data}-{settings.budget}-{stamp}"
