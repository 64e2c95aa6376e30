"""``nasengine predictor pretrain``."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.commands.options import ResumeOption, SeedOption
from nasengine.errors import ConfigError
from nasengine.report.console import Json, finish, print_table, shown

if TYPE_CHECKING:
    from predictors.gennape.ensemble_fitting import Family

FamilyTables = Annotated[
    list[str] | None, typer.Option(help="SPACE=FILE:NETWORK_COLUMN:LABEL_COLUMN; give it once for each family.")
]
PretrainingSpaces = Annotated[
    str, typer.Option(help="Spaces whose graphs the encoder learns from, with commas.", show_default="all built-in")
]
ProxyGraphs = Annotated[
    int, typer.Option(help="Graphs of each space whose zero-cost proxies are measured as targets too (slow).")
]


def pretrain(
    labels: FamilyTables = None,
    out: Annotated[Path, typer.Option(help="Run folder, new or empty.")] = Path("runs/predictor"),
    spaces: PretrainingSpaces = "",
    graphs: Annotated[int, typer.Option(help="Random networks of each space, without labels.")] = 600,
    epochs: Annotated[int, typer.Option(help="Passes over them.")] = 12,
    contrastive: Annotated[bool, typer.Option(help="Contrastive loss on spectra.")] = True,
    auxiliary: Annotated[bool, typer.Option(help="Costs and path features as targets.")] = True,
    proxy_graphs: ProxyGraphs = 0,
    seed: SeedOption = 0,
    resume: ResumeOption = None,
    as_json: Json = False,
) -> None:
    """Pretrain a predictor: an encoder on graphs of many spaces, and members on families with labels."""

    def work() -> dict[str, Any]:
        from predictors.gennape.building import SPACES

        return _pretrained({
            "spaces": spaces.split(",") if spaces else SPACES, "graphs_of_space": graphs, "epochs": epochs,
            "labels": dict(map(_source, labels or ())), "contrastive": contrastive, "auxiliary": auxiliary,
            "proxy_graphs": proxy_graphs, "seed": seed,
        }, out, resume)  # fmt: skip

    finish(work, lambda card: print_table(("", "predictor"), [
        (name, str(card[name])) for name in ("labels", "weights", "left_out_kendall_tau", "bytes")
    ]), as_json)  # fmt: skip


def _pretrained(content: dict[str, Any], out: Path, resume: Path | None) -> dict[str, Any]:
    """The card of a new run, or of one that goes on with its own settings."""
    from nasengine import registry
    from nasengine.report.progress import make_progress
    from nasengine.store import RunStore
    from nasengine.store.run_store import read_settings
    from predictors.gennape.pretraining_run import PretrainingSettings, run_pretraining

    settings = PretrainingSettings.read(content if resume is None else read_settings(resume))
    spaces = [registry.load("search space", name) for name in settings.spaces]
    families = {name: _family(name, *source) for name, source in settings.labels.items()}
    # Only here something is written: whatever can be wrong with settings and tables has shown.
    store = RunStore.open(resume) if resume is not None else RunStore.create(out, settings.model_dump())
    progress = make_progress()
    with closing(store), shown(progress, f"go on with: nasengine predictor pretrain --resume {store.folder}"):
        return run_pretraining(store, settings, spaces, families, progress)


def _family(space: str, file: str, network: str, label: str) -> "Family":
    from predictors.gennape.ensemble_fitting import Family
    from predictors.network_reading import columns_of, read_table

    table = read_table(Path(file), columns_of(network, label, ""), space)
    return Family(table.graphs, table.labels)


def _source(text: str) -> tuple[str, tuple[str, str, str]]:
    space, equals, rest = text.partition("=")
    parts = rest.rsplit(":", 2)
    if not equals or len(parts) != 3 or not all(parts):
        raise ConfigError(f"--labels: expected SPACE=FILE:NETWORK_COLUMN:LABEL_COLUMN, got {text!r}")
    return space, (str(Path(parts[0]).resolve()), parts[1], parts[2])
