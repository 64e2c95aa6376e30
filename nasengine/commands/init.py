"""``nasengine init``: from the winner of a run to networks of other sizes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.commands.workers import WorkersOption
from nasengine.errors import ConfigError, StoreError
from nasengine.report.console import Json, finish, print_table
from nasengine.report.tables import family_table

if TYPE_CHECKING:
    from nasengine.pipeline import Search
    from nasengine.pipeline.family_settings import FamilySettings
    from nasengine.store import RunStore

FOLDER = "family"


def init(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    depths: Annotated[
        str, typer.Option(help="Cells (in each stage, for nasbench201), with commas.", show_default="the winner's")
    ] = "",
    widths: Annotated[
        str, typer.Option(help="Channels of the first cells, with commas.", show_default="the winner's")
    ] = "",
    sizes: Annotated[str, typer.Option(help="Or sizes: small, medium, large, with commas.")] = "",
    epochs: Annotated[
        int | None, typer.Option(help="Of the network whose stages share weights.", show_default="the run's")
    ] = None,
    tuning_epochs: Annotated[
        int | None, typer.Option(help="Of each size.", show_default="a tenth of the run's")
    ] = None,
    distillation_weight: Annotated[float, typer.Option(help="Share of the winner's answers in the loss.")] = 0.9,
    temperature: Annotated[float, typer.Option(help="Softens these answers.")] = 2.0,
    elastic: Annotated[
        bool, typer.Option("--elastic/--one-depth", help="Share weights over all depths, or at the largest alone.")
    ] = True,
    stages: Annotated[str, typer.Option(help="Stages of each run of equal cells, or all their sizes.")] = "1",
    depth_rule: Annotated[
        str, typer.Option(help="Cells of a size are dealt to stages: even, or in the ratios of the largest.")
    ] = "even",
    tuning_rate: Annotated[float, typer.Option(help="Learning rate of sizes, as a share of the run's.")] = 0.2,
    rescale: Annotated[bool, typer.Option(help="Scale residual updates by the number of repeats.")] = False,
    learngene: Annotated[
        Path | None, typer.Option(help="Begin with this one, made from the same genotype.", show_default="a new one")
    ] = None,
    teacher_depth: Annotated[
        int | None, typer.Option(help="First train a network of this depth to learn from.", show_default="the winner")
    ] = None,
    teacher_width: Annotated[
        int | None, typer.Option(help="Or of this width, or of both.", show_default="the winner")
    ] = None,
    compare: Annotated[bool, typer.Option(help="Train each size from scratch for as many epochs, too.")] = True,
    workers: WorkersOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder; goes on there.", show_default="RUN/family")] = None,
    as_json: Json = False,
) -> None:
    """Make networks of other sizes that begin with what the winner knows, tune them briefly and export them."""

    def work() -> dict[str, Any]:
        from nasengine.assembly import assemble, settings_of
        from nasengine.distribution import make_workers
        from nasengine.report.progress import make_progress
        from nasengine.store import RunStore

        progress = make_progress()
        settings = settings_of(run)
        search = assemble(settings, progress, workers=make_workers(workers, settings, progress))
        chosen = {"depths": numbers(depths, "--depths"), "widths": numbers(widths, "--widths"), "sizes": names(sizes)}
        options = {
            "epochs": epochs, "tuning_epochs": tuning_epochs, "distillation_weight": distillation_weight,
            "temperature": temperature, "elastic": elastic, "stages": _stages(stages), "rescale": rescale,
            "depth_rule": depth_rule, "tuning_rate": tuning_rate, "teacher_depth": teacher_depth,
            "teacher_width": teacher_width,
            "compare": compare, "learngene": None if learngene is None else str(learngene.resolve()),
        }  # fmt: skip
        parent = RunStore.open(run)
        try:
            progress.start()
            return make_family(search, parent, out or run / FOLDER, chosen, options)
        except KeyboardInterrupt:
            progress.stop()
            sys.stderr.write("interrupted; the same command goes on\n")
            raise
        finally:
            progress.stop()
            parent.close()

    finish(work, lambda content: print_table(*family_table(content)), as_json)


def make_family(
    search: "Search", parent: "RunStore", folder: Path, chosen: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    """Make the family of a finished run in a folder, or go on there.

    Args:
        search: the run.
        parent: its store.
        folder: of the family.
        chosen: arguments of ``chosen_sizes``.
        options: other settings of ``FamilySettings``; None takes what the run suggests.

    Raises:
        ConfigError: settings or sizes that cannot be, or a folder with another family.
    """
    from nasengine import registry
    from nasengine.pipeline.exporting import file_hash
    from nasengine.pipeline.family import AUXILIARY, TEACHER, Family
    from nasengine.pipeline.family_settings import FamilySettings, chosen_sizes
    from nasengine.pipeline.workers import Work
    from nasengine.report.family_picture import draw_family

    ancestor = search.ancestor(parent)
    every = ancestor.recipe.epochs
    usual = {"epochs": every, "tuning_epochs": max(1, every // 10)}
    given = {name: usual.get(name) if value is None else value for name, value in options.items()}
    learngene = options.get("learngene")
    settings = FamilySettings.read({
        "learngene_sha256": None if learngene is None else file_hash(Path(learngene)),
        "run": str(parent.folder.resolve()), "weights_sha256": ancestor.lineage["weights_sha256"],
        **chosen_sizes(*ancestor.own_sizes, **chosen), **given,
        "seed": search.settings.seed, "threads": search.settings.threads, "device": search.settings.device,
    }, "nasengine init")  # fmt: skip
    family = Family(settings, ancestor, registry.load("exporter", "onnx"), search.progress, search.workers)
    store = _opened(folder, settings)
    dumped = {"settings": search.settings.model_dump(mode="json"), "family": settings.model_dump(mode="json")}
    try:
        summary = family.run(store, Work((), **dumped, store=store, needed_tasks=(TEACHER, AUXILIARY), parent=parent))
        picture = store.folder / "family.png"
        draw_family(summary, picture)
        return summary | {"picture": str(picture)}
    finally:
        store.close()


def _opened(folder: Path, settings: "FamilySettings") -> "RunStore":
    """A new family, or the one in the folder if it was begun with the same settings."""
    from nasengine.store import RunStore
    from nasengine.store.run_store import read_settings

    try:
        known = read_settings(folder)
    except StoreError:
        return RunStore.create(folder, settings.model_dump(mode="json"))
    if _compared(known) != _compared(settings.model_dump(mode="json")):
        raise ConfigError(
            f"family {folder}: expected the settings that it was begun with, got others; choose another --out, or "
            "remove the folder"
        )
    return RunStore.open(folder)


def _compared(settings: dict[str, Any]) -> dict[str, Any]:
    """What makes a family the same: contents count, not the places where they lie.

    Settings that are not given may be newer than the family.
    """
    return {name: value for name, value in settings.items() if name not in ("run", "learngene") and value is not None}


def numbers(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers of at least 1 with commas between them."""
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isdecimal() and len(part) <= 6 and int(part) > 0 for part in parts):
        raise ConfigError(f"{option}: expected whole numbers of at least 1 with commas between them, got {text!r}")
    return tuple(dict.fromkeys(map(int, parts)))


def names(text: str) -> tuple[str, ...]:
    """Words with commas between them."""
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _stages(text: str) -> int | tuple[int, ...]:
    found = tuple(number for part in text.split(",") for number in numbers(part, "--stages"))
    return found[0] if len(found) == 1 else found
