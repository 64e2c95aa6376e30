"""``nasengine init``: from the winner of a run to networks of other sizes."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasengine.commands.init_options import InitOptions
from nasengine.commands.options import Given, takes
from nasengine.errors import ConfigError, StoreError
from nasengine.report.console import finish, print_table, shown
from nasengine.report.tables import family_table

if TYPE_CHECKING:
    from nasengine.pipeline import Search, SearchSettings
    from nasengine.pipeline.family import Ancestor
    from nasengine.pipeline.family_settings import FamilySettings
    from nasengine.store import RunStore

FOLDER = "family"
PASSED_ON = (
    "epochs", "tuning_epochs", "distillation_weight", "temperature", "elastic", "rescale", "depth_rule", "tuning_rate",
    "teacher_depth", "teacher_width", "compare",
)  # fmt: skip
"""Options that are settings of a family as they are."""


@takes(InitOptions)
def init(options: InitOptions, given: Given) -> None:
    """Make networks of other sizes that begin with what the winner knows, tune them briefly and export them."""
    finish(lambda: _family(options), lambda content: print_table(*family_table(content)), options.as_json)


def _family(options: InitOptions) -> dict[str, Any]:
    """The family of the run that a user names."""
    from nasengine.assembly import assemble, settings_of
    from nasengine.distribution import make_workers
    from nasengine.report.progress import make_progress
    from nasengine.store import RunStore

    progress = make_progress()
    settings = settings_of(options.run)
    search = assemble(settings, progress, workers=make_workers(options.workers, settings, progress))
    chosen = {
        "depths": numbers(options.depths, "--depths"), "widths": numbers(options.widths, "--widths"),
        "sizes": names(options.sizes),
    }  # fmt: skip
    others = {name: getattr(options, name) for name in PASSED_ON} | {
        "stages": _stages(options.stages),
        "learngene": None if options.learngene is None else str(options.learngene.resolve()),
    }
    with closing(RunStore.open(options.run)) as parent, shown(progress, "the same command goes on"):
        return make_family(search, parent, options.out or options.run / FOLDER, chosen, others)


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
    from nasengine.pipeline.family import AUXILIARY, TEACHER, Family
    from nasengine.pipeline.workers import Work
    from nasengine.report.family_picture import draw_family

    ancestor = search.ancestor(parent)
    settings = _settings(search.settings, ancestor, parent.folder, chosen, options)
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


def _settings(
    own: "SearchSettings", ancestor: "Ancestor", run: Path, chosen: dict[str, Any], options: dict[str, Any]
) -> "FamilySettings":
    """Settings of a family, checked; what is None is as the run suggests."""
    from nasengine.pipeline.exporting import file_hash
    from nasengine.pipeline.family_settings import FamilySettings, chosen_sizes

    every = ancestor.recipe.epochs
    usual = {"epochs": every, "tuning_epochs": max(1, every // 10)}
    given = {name: usual.get(name) if value is None else value for name, value in options.items()}
    learngene = options.get("learngene")
    return FamilySettings.read({
        "learngene_sha256": None if learngene is None else file_hash(Path(learngene)),
        "run": str(run.resolve()), "weights_sha256": ancestor.lineage["weights_sha256"],
        **chosen_sizes(*ancestor.own_sizes, **chosen), **given,
        "seed": own.seed, "threads": own.threads, "device": own.device,
    }, "nasengine init")  # fmt: skip


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
