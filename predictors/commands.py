"""``nasengine score`` and ``nasengine predictor``."""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.errors import ConfigError
from nasengine.report.console import Json, finish, print_table

if TYPE_CHECKING:
    from nasengine.graph import ComputationGraph
    from nasengine.protocols import SearchSpace
    from nasengine.store import RunStore
    from predictors.gennape.ensemble_fitting import Family
    from predictors.gennape.gennape import Gennape
    from predictors.gennape.pretraining_run import PretrainingSettings
    from predictors.results_table import Columns, ResultsTable

app = typer.Typer(help="Predictors: pretrain, fit to your results, evaluate.", no_args_is_help=True)

Space = Annotated[
    str | None, typer.Option(help="Search space of genotypes; see 'nasengine spaces'. Not needed for ONNX files.")
]
PredictorFile = Annotated[
    Path | None, typer.Option("--predictor", help="A predictor that was saved.", show_default="the shipped one")
]
NetworkColumn = Annotated[str, typer.Option(help="Column with genotypes or paths of ONNX files; two with + between.")]
LabelColumn = Annotated[str, typer.Option(help="Column of which more is better.")]
ProxyColumns = Annotated[str, typer.Option(help="Columns of zero-cost proxies, with commas between them.")]
Table = Annotated[Path, typer.Argument(help="Your results: .csv or .csv.gz, a network and a label a line.")]


def score(
    networks: Annotated[list[str], typer.Argument(help="ONNX files, or genotypes of --space.")],
    space: Space = None,
    predictor: PredictorFile = None,
    compare_with: Annotated[
        int, typer.Option(min=2, max=100_000, help="Random networks of --space to rank among.")
    ] = 200,
    as_json: Json = False,
) -> None:
    """Score networks before they are trained: how good each is likely to be, and its rank among known networks."""

    def work() -> dict[str, Any]:
        from predictors.scoring import score_networks

        found = _load(predictor)
        graphs = [network_reader(space, Path())(text) for text in networks]
        pool = _random_graphs(space, compare_with) if space is not None and not found.is_fitted else None
        return score_networks(found, networks, graphs, pool=pool, space=space)

    def show(content: dict[str, Any]) -> None:
        from predictors.scoring import scores_table

        print_table(*scores_table(content))

    finish(work, show, as_json)


@app.command()
def fit(
    table: Table,
    out: Annotated[Path, typer.Option(help="File to write; there must be none.")],
    space: Space = None,
    network: NetworkColumn = "arch",
    label: LabelColumn = "accuracy",
    proxies: ProxyColumns = "",
    predictor: PredictorFile = None,
    seed: Annotated[int, typer.Option(help="Of folds and members.")] = 0,
    as_json: Json = False,
) -> None:
    """Turn some of your own results into a predictor for their space."""

    def work() -> dict[str, Any]:
        from nasengine.report.progress import make_progress
        from predictors.fitting import fit_predictor, refuse_existing

        refuse_existing(out)
        columns = _columns(network, label, proxies)
        found, known = _load(predictor), _read(table, columns, space)
        progress = make_progress()
        try:
            progress.start()
            return fit_predictor(
                found, known, out, pool=_pool(known, space), seed=seed, progress=progress,
                source={
                    "table": table.name, "network": network, "label": label, "space": space,
                    "begun_with": "the shipped predictor" if predictor is None else predictor.name,
                },
            )  # fmt: skip
        finally:
            progress.stop()

    finish(work, lambda content: print_table(("", "predictor"), [
        ("file", content["predictor"]), ("labels", str(content["labels"])),
        ("tau on labels left out", f"{content['out_of_fold_kendall_tau']:.3f}"),
        *((name, f"weight {weight:.2f}") for name, weight in content["weights"].items()),
    ]), as_json)  # fmt: skip


@app.command()
def evaluate(
    table: Table,
    space: Space = None,
    network: NetworkColumn = "arch",
    label: LabelColumn = "accuracy",
    proxies: ProxyColumns = "",
    predictor: PredictorFile = None,
    as_json: Json = False,
) -> None:
    """How well a predictor ranks results that it has not seen."""

    def work() -> dict[str, Any]:
        from predictors.scoring import evaluate_predictor

        columns = _columns(network, label, proxies)
        found, known = _load(predictor), _read(table, columns, space)
        if not found.is_fitted:
            found.adapt(known.graphs)
        return evaluate_predictor(found, known)

    finish(work, lambda content: print_table(("", "evaluation"), [
        (name.replace("_", " "), f"{value:.4f}" if isinstance(value, float) else str(value))
        for name, value in content.items()
    ]), as_json)  # fmt: skip


@app.command()
def pretrain(
    labels: Annotated[
        list[str] | None, typer.Option(help="SPACE=FILE:NETWORK_COLUMN:LABEL_COLUMN; give it once for each family.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder, new or empty.")] = Path("runs/predictor"),
    spaces: Annotated[
        str, typer.Option(help="Spaces whose graphs the encoder learns from, with commas.", show_default="all built-in")
    ] = "",
    graphs: Annotated[int, typer.Option(help="Random networks of each space, without labels.")] = 600,
    epochs: Annotated[int, typer.Option(help="Passes over them.")] = 12,
    contrastive: Annotated[bool, typer.Option(help="Contrastive loss on spectra.")] = True,
    auxiliary: Annotated[bool, typer.Option(help="Costs and path features as targets.")] = True,
    proxy_graphs: Annotated[
        int, typer.Option(help="Graphs of each space whose zero-cost proxies are measured as targets too (slow).")
    ] = 0,
    seed: Annotated[int, typer.Option(help="All randomness of the run comes from it.")] = 0,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run; its own settings count.")] = None,
    as_json: Json = False,
) -> None:
    """Pretrain a predictor: an encoder on graphs of many spaces, and members on families with labels."""

    def work() -> dict[str, Any]:
        from nasengine import registry
        from nasengine.store import RunStore
        from nasengine.store.run_store import read_settings
        from predictors.gennape.building import SPACES
        from predictors.gennape.ensemble_fitting import Family
        from predictors.gennape.pretraining_run import PretrainingSettings

        content: dict[str, Any] = {
            "spaces": spaces.split(",") if spaces else SPACES, "graphs_of_space": graphs, "epochs": epochs,
            "labels": dict(map(_source, labels or ())), "contrastive": contrastive, "auxiliary": auxiliary,
            "proxy_graphs": proxy_graphs, "seed": seed,
        }  # fmt: skip
        settings = PretrainingSettings.read(content if resume is None else read_settings(resume))
        found = [registry.load("search space", name) for name in settings.spaces]
        families = {}
        for name, (file, column, label) in settings.labels.items():
            table = _read(Path(file), _columns(column, label, ""), name)
            families[name] = Family(table.graphs, table.labels)
        # Only here something is written: whatever can be wrong with settings and tables has shown.
        store = RunStore.open(resume) if resume is not None else RunStore.create(out, settings.model_dump())
        return _run_pretraining(store, settings, found, families)

    finish(work, lambda card: print_table(("", "predictor"), [
        (name, str(card[name])) for name in ("labels", "weights", "left_out_kendall_tau", "bytes")
    ]), as_json)  # fmt: skip


def _run_pretraining(
    store: "RunStore",
    settings: "PretrainingSettings",
    spaces: Sequence["SearchSpace"],
    families: Mapping[str, "Family"],
) -> dict[str, Any]:
    import sys

    from nasengine.report.progress import make_progress
    from predictors.gennape.pretraining_run import run_pretraining

    progress = make_progress()
    try:
        progress.start()
        return run_pretraining(store, settings, spaces, families, progress)
    except KeyboardInterrupt:
        progress.stop()
        sys.stderr.write(f"go on with: nasengine predictor pretrain --resume {store.folder}\n")
        raise
    finally:
        progress.stop()
        store.close()


def _load(path: Path | None) -> "Gennape":
    from predictors.gennape.gennape import Gennape

    return Gennape.load_pretrained() if path is None else Gennape.load(path)


def network_reader(space: str | None, folder: Path) -> Callable[[str], "ComputationGraph"]:
    """Reads a network: the path of an ONNX file, or a genotype."""
    from nasengine import registry
    from nasengine.tracing import graph_from_onnx

    found = None if space is None else registry.load("search space", space)

    def read(text: str) -> "ComputationGraph":
        if text.endswith(".onnx") or (found is None and _exists(folder / text)):
            return graph_from_onnx(folder / text)
        if found is None:
            raise ConfigError(
                f"network {text[:60]!r}: expected the path of an ONNX file, or --space for a genotype, "
                "got no such file and no space"
            )
        return found.to_graph(found.parse(text), found.defaults)

    return read


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long for a name
        return False


def _read(path: Path, columns: "Columns", space: str | None) -> "ResultsTable":
    from predictors.results_table import read_results

    return read_results(path, columns, network_reader(space, path.parent))


def _columns(network: str, label: str, proxies: str) -> "Columns":
    from predictors.results_table import Columns

    return Columns(network, label, tuple(name.strip() for name in proxies.split(",")) if proxies else ())


def _random_graphs(space: str, count: int) -> list["ComputationGraph"]:
    from nasengine import registry

    found, rng = registry.load("search space", space), random.Random(0)
    return [found.to_graph(found.sample(rng), found.defaults) for _ in range(count)]


def _pool(known: "ResultsTable", space: str | None) -> list["ComputationGraph"] | None:
    """Unlabelled networks to rank inputs by; with proxies there are none, since these would have to be measured."""
    return None if known.proxies or space is None else [*known.graphs, *_random_graphs(space, 1000)]


def _source(text: str) -> tuple[str, tuple[str, str, str]]:
    space, equals, rest = text.partition("=")
    parts = rest.rsplit(":", 2)
    if not equals or len(parts) != 3 or not all(parts):
        raise ConfigError(f"--labels: expected SPACE=FILE:NETWORK_COLUMN:LABEL_COLUMN, got {text!r}")
    return space, (str(Path(parts[0]).resolve()), parts[1], parts[2])
