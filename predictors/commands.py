"""``nasengine score`` and ``nasengine predictor``."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.report.console import Json, finish, print_table, shown
from predictors.pretrain_command import pretrain

if TYPE_CHECKING:
    from nasengine.graph import ComputationGraph
    from predictors.gennape.gennape import Gennape
    from predictors.results_table import ResultsTable

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
        from predictors.network_reading import network_reader
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
        from predictors.network_reading import columns_of, read_table

        refuse_existing(out)
        columns = columns_of(network, label, proxies)
        found, known = _load(predictor), read_table(table, columns, space)
        source = {
            "table": table.name, "network": network, "label": label, "space": space,
            "begun_with": "the shipped predictor" if predictor is None else predictor.name,
        }  # fmt: skip
        progress = make_progress()
        with shown(progress):
            pool = _pool(known, space)
            return fit_predictor(found, known, out, pool=pool, seed=seed, progress=progress, source=source)

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
        from predictors.network_reading import columns_of, read_table
        from predictors.scoring import evaluate_predictor

        columns = columns_of(network, label, proxies)
        found, known = _load(predictor), read_table(table, columns, space)
        if not found.is_fitted:
            found.adapt(known.graphs)
        return evaluate_predictor(found, known)

    finish(work, lambda content: print_table(("", "evaluation"), [
        (name.replace("_", " "), f"{value:.4f}" if isinstance(value, float) else str(value))
        for name, value in content.items()
    ]), as_json)  # fmt: skip


app.command()(pretrain)


def _load(path: Path | None) -> "Gennape":
    from predictors.gennape.gennape import Gennape

    return Gennape.load_pretrained() if path is None else Gennape.load(path)


def _random_graphs(space: str, count: int) -> list["ComputationGraph"]:
    from nasengine import registry

    found, rng = registry.load("search space", space), random.Random(0)
    return [found.to_graph(found.sample(rng), found.defaults) for _ in range(count)]


def _pool(known: "ResultsTable", space: str | None) -> list["ComputationGraph"] | None:
    """Unlabelled networks to rank inputs by; with proxies there are none, since these would have to be measured."""
    return None if known.proxies or space is None else [*known.graphs, *_random_graphs(space, 1000)]
