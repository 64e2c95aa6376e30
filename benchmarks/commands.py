"""``nasengine bench``: speed and quality, as tables for people and rows for machines."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.constrained_commands import constrained
from benchmarks.elastic_commands import elastic
from benchmarks.export_commands import export
from benchmarks.initialization_commands import init
from benchmarks.latency_commands import latency
from benchmarks.options import (
    DataPath,
    Json,
    Out,
    Seeds,
    TablePath,
    Threads,
    finish,
    finished_rows,
    load,
    numbers,
    one_of,
)
from benchmarks.table_commands import ablation, predictor, predictor_speed, strategy
from benchmarks.worker_commands import workers

if TYPE_CHECKING:
    pass

app = typer.Typer(help="Measure speed and quality; see docs/benchmarks.md.", no_args_is_help=True)


@app.command()
def supernet(
    space: Annotated[str, typer.Option(help="darts or nasbench201.")] = "darts",
    batch: Annotated[str, typer.Option(help="Batch sizes, with commas between them.")] = "8,64",
    repeats: Annotated[int, typer.Option(min=1, help="Measurements of each; the median counts.")] = 3,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Supernet against a textbook implementation of the same mathematics: seconds, memory, deviation of logits."""

    def work() -> list[dict[str, Any]]:
        from benchmarks.supernet_speed import run

        return [run(space, size, repeats=repeats, threads=threads) for size in numbers(batch, "--batch")]

    header = ("space", "batch", "reference", "ours", "speed-up", "memory", "logits")
    finish(work, header, lambda row: (
        row["space"], str(row["batch_size"]), f"{row['reference_seconds']:.2f} s", f"{row['seconds']:.2f} s",
        f"{row['speed_up']:.2f}x", f"{row['memory_share']:.2f} of {row['reference_peak_bytes'] / 2**30:.2f} GiB",
        f"{row['max_deviation']:.1e}",
    ), as_json)  # fmt: skip


@app.command()
def search(
    table: TablePath,
    data: DataPath,
    space: Annotated[str, typer.Option(help="A space with a table: nasbench201 or nasbench_macro.")] = "nasbench201",
    seeds: Seeds = "0,1,2,3",
    minutes: Annotated[float, typer.Option(min=0.1, help="What a seed may take.")] = 10.0,
    methods: Annotated[str, typer.Option(help="Names of methods, with commas; 'all' for all.")] = "all",
    threads: Threads = 2,
    out: Out = Path("runs/bench-search.jsonl"),
    as_json: Json = False,
) -> None:
    """Quality of the architectures that each way of searching chooses, by a table of accuracies."""
    shown: list[dict[str, Any]] = []

    def work() -> list[dict[str, Any]]:
        import torch

        from benchmarks.results import ResultsFile
        from benchmarks.search_quality import METHODS, run
        from benchmarks.tables import read_table
        from nasengine import registry

        torch.set_num_threads(threads)
        accuracies = read_table(table, space)
        results = ResultsFile(out, ("benchmark", "space", "method", "seed", "data", "threads"))
        chosen = list(METHODS) if methods == "all" else [name.strip() for name in methods.split(",")]
        rows = run(
            registry.load("search space", space), load(data), accuracies, results,
            methods=chosen, seeds=numbers(seeds, "--seeds"), minutes=minutes, threads=threads,
        )  # fmt: skip
        shown.extend(rows)
        return shown

    def lines() -> list[tuple[str, ...]]:
        from benchmarks.search_quality import summary

        return summary(shown)

    finish(work, ("method", "table test accuracy", "best leaf (oracle)", "time"), lines, as_json)


@app.command()
def correlation(
    table: TablePath,
    data: DataPath,
    space: Annotated[str, typer.Option(help="A space with a table: nasbench201 or nasbench_macro.")] = "nasbench201",
    seeds: Seeds = "0",
    splits: Annotated[str, typer.Option(help="Numbers of levels; 0 is one supernet, 3 are eight leaves.")] = "0,1,2,3",
    architectures: Annotated[int, typer.Option(min=2, help="Random architectures.")] = 200,
    threads: Threads = 2,
    out: Out = Path("runs/bench-correlation.jsonl"),
    as_json: Json = False,
) -> None:
    """Kendall's tau between accuracies with the weights of a supernet, or of its leaves, and the table."""

    def work() -> list[dict[str, Any]]:
        import torch

        from benchmarks.rank_correlation import run
        from benchmarks.results import ResultsFile
        from benchmarks.tables import read_table
        from nasengine import registry

        torch.set_num_threads(threads)
        results = ResultsFile(out, ("benchmark", "space", "splits", "seed", "data", "num_architectures", "threads"))
        dataset, accuracies = load(data), read_table(table, space)
        return list(run(
            registry.load("search space", space), dataset, accuracies, results, splits=numbers(splits, "--splits"),
            seeds=numbers(seeds, "--seeds"), num_architectures=architectures, threads=threads,
        ))  # fmt: skip

    finish(work, ("leaves", "seed", "Kendall tau", "by loss", "time"), lambda row: (
        str(row["num_leaves"]), str(row["seed"]), *(
            "-" if row.get(name) is None else f"{row[name]:.3f}" for name in ("kendall_tau", "kendall_tau_by_loss")
        ), f"{row['seconds']:.0f} s",
    ), as_json)  # fmt: skip


@app.command()
def selection(
    data: DataPath,
    space: Annotated[str, typer.Option(help="darts or nasbench201.")] = "nasbench201",
    seeds: Seeds = "0,1,2",
    criterion: Annotated[str, typer.Option(help="accuracy or loss.")] = "loss",
    batch: Annotated[int, typer.Option(min=2, help="Images in a batch.")] = 50,
    threads: Threads = 2,
    out: Out = Path("runs/bench-selection.jsonl"),
    as_json: Json = False,
) -> None:
    """Passes of perturbation-based selection with early stopping, and whether its decisions stay the same."""

    def work() -> list[dict[str, Any]]:
        import torch

        from benchmarks.results import data_name
        from benchmarks.selection_passes import SIZES, run
        from nasengine import registry

        one_of("--space", space, tuple(SIZES))
        one_of("--criterion", criterion, ("accuracy", "loss"))
        torch.set_num_threads(threads)
        found, images = registry.load("search space", space), load(data)
        return finished_rows(
            out,
            [
                {"benchmark": "selection", "space": space, "data": data_name(images), "seed": seed,
                 "criterion": criterion, "batch_size": batch}
                for seed in numbers(seeds, "--seeds")
            ],
            lambda key: run(found, images, seed=key["seed"], criterion=criterion, batch_size=batch),
        )  # fmt: skip

    header = ("space", "seed", "decisions", "equal", "passes", "share", "largest loss of a change")
    finish(work, header, lambda row: (
        row["space"], str(row["seed"]), str(row["num_decisions"]), str(row["equal_decisions"]),
        f"{row['passes']:.1f} of {row['full_passes']:.0f}", f"{row['share']:.1%}", f"{row['largest_loss']:.4f}",
    ), as_json)  # fmt: skip


@app.command()
def splitting(
    data: DataPath,
    space: Annotated[str, typer.Option(help="darts or nasbench201.")] = "darts",
    seeds: Seeds = "0,1,2",
    threads: Threads = 2,
    out: Out = Path("runs/bench-splitting.jsonl"),
    as_json: Json = False,
) -> None:
    """Gradient matching against the paper's procedure: seconds, chosen edge and groups, share of the training."""

    def work() -> list[dict[str, Any]]:
        import torch

        from benchmarks.results import data_name
        from benchmarks.scoring_speed import run
        from nasengine import registry

        one_of("--space", space, ("darts", "nasbench201"))
        torch.set_num_threads(threads)
        found, images = registry.load("search space", space), load(data)
        return finished_rows(
            out,
            [
                {"benchmark": "splitting", "space": space, "data": data_name(images), "seed": seed}
                for seed in numbers(seeds, "--seeds")
            ],
            lambda key: run(found, images, seed=key["seed"]),
        )

    header = ("space", "seed", "ours", "paper's", "share", "same outcome", "batches", "of training")
    finish(work, header, lambda row: (
        row["space"], str(row["seed"]), f"{row['seconds']:.0f} s", f"{row['paper_seconds']:.0f} s",
        f"{row['share']:.1%}", f"{row['same']} (gap {row['gap']:.4f})", str(row["num_batches"]),
        f"{row['share_of_training']:.1%}",
    ), as_json)  # fmt: skip


app.command()(predictor)
app.command()(init)
app.command()(export)
app.command()(latency)
app.command()(constrained)
app.command()(workers)
app.command()(elastic)
app.command(name="predictor-ablation")(ablation)
app.command(name="predictor-speed")(predictor_speed)
app.command()(strategy)
