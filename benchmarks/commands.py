"""``nasengine bench``: speed and quality, as tables for people and rows for machines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.errors import ConfigError, NasEngineError

if TYPE_CHECKING:
    from nasengine.data import ImageDataset

app = typer.Typer(help="Measure speed and quality; see docs/benchmarks.md.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON list of rows on stdout and nothing else there.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of torch on the CPU.")]
Seeds = Annotated[str, typer.Option(help="Seeds, with commas between them.")]
TablePath = Annotated[Path, typer.Option(help="nasbench201.csv.gz.")]
DataPath = Annotated[str, typer.Option(help="CIFAR-10 as parquet files, or what 'nasengine search --data' takes.")]
Out = Annotated[Path, typer.Option(help="Finished rows are appended here and not run again.")]
EXIT_BAD_INPUT = 2


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

        return [run(space, size, repeats=repeats, threads=threads) for size in _numbers(batch, "--batch")]

    header = ("space", "batch", "reference", "ours", "speed-up", "memory", "logits")
    _finish(work, header, lambda row: (
        row["space"], str(row["batch_size"]), f"{row['reference_seconds']:.2f} s", f"{row['seconds']:.2f} s",
        f"{row['speed_up']:.2f}x", f"{row['memory_share']:.2f} of {row['reference_peak_bytes'] / 2**30:.2f} GiB",
        f"{row['max_deviation']:.1e}",
    ), as_json)  # fmt: skip


@app.command()
def search(
    table: TablePath,
    data: DataPath,
    space: Annotated[str, typer.Option(help="A space with a table: nasbench201.")] = "nasbench201",
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
        from benchmarks.tables import read_nasbench201
        from nasengine import registry

        _one_of("--space", space, ("nasbench201",))
        torch.set_num_threads(threads)
        accuracies = read_nasbench201(table)
        results = ResultsFile(out, ("benchmark", "method", "seed", "data", "threads"))
        chosen = list(METHODS) if methods == "all" else [name.strip() for name in methods.split(",")]
        rows = run(
            registry.load("search space", space), _load(data), accuracies, results,
            methods=chosen, seeds=_numbers(seeds, "--seeds"), minutes=minutes, threads=threads,
        )  # fmt: skip
        shown.extend(rows)
        return shown

    def lines() -> list[tuple[str, ...]]:
        from benchmarks.search_quality import summary

        return summary(shown)

    _finish(work, ("method", "table test accuracy", "best leaf (oracle)", "time"), lines, as_json)


@app.command()
def correlation(
    table: TablePath,
    data: DataPath,
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
        from benchmarks.tables import read_nasbench201

        torch.set_num_threads(threads)
        results = ResultsFile(out, ("benchmark", "splits", "seed", "data", "num_architectures", "threads"))
        return list(run(
            _load(data), read_nasbench201(table), results, splits=_numbers(splits, "--splits"),
            seeds=_numbers(seeds, "--seeds"), num_architectures=architectures, threads=threads,
        ))  # fmt: skip

    _finish(work, ("leaves", "seed", "Kendall tau", "time"), lambda row: (
        str(row["num_leaves"]), str(row["seed"]), f"{row['kendall_tau']:.3f}", f"{row['seconds']:.0f} s",
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

        _one_of("--space", space, tuple(SIZES))
        _one_of("--criterion", criterion, ("accuracy", "loss"))
        torch.set_num_threads(threads)
        found, images = registry.load("search space", space), _load(data)
        return _rows(
            out,
            [
                {"benchmark": "selection", "space": space, "data": data_name(images), "seed": seed,
                 "criterion": criterion, "batch_size": batch}
                for seed in _numbers(seeds, "--seeds")
            ],
            lambda key: run(found, images, seed=key["seed"], criterion=criterion, batch_size=batch),
        )  # fmt: skip

    header = ("space", "seed", "decisions", "equal", "passes", "share", "largest loss of a change")
    _finish(work, header, lambda row: (
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

        _one_of("--space", space, ("darts", "nasbench201"))
        torch.set_num_threads(threads)
        found, images = registry.load("search space", space), _load(data)
        return _rows(
            out,
            [
                {"benchmark": "splitting", "space": space, "data": data_name(images), "seed": seed}
                for seed in _numbers(seeds, "--seeds")
            ],
            lambda key: run(found, images, seed=key["seed"]),
        )

    header = ("space", "seed", "ours", "paper's", "share", "same outcome", "batches", "of training")
    _finish(work, header, lambda row: (
        row["space"], str(row["seed"]), f"{row['seconds']:.0f} s", f"{row['paper_seconds']:.0f} s",
        f"{row['share']:.1%}", f"{row['same']} (gap {row['gap']:.4f})", str(row["num_batches"]),
        f"{row['share_of_training']:.1%}",
    ), as_json)  # fmt: skip


@app.command()
def predictor(
    table_dir: Annotated[Path, typer.Option(help="Folder with the tables of NAS-Bench-201, 101 and Macro.")],
    seeds: Seeds = "0,1,2,3,4",
    only: Annotated[
        str, typer.Option(help="Settings to run: their places in the list, with commas; all by default.")
    ] = "",
    methods: Annotated[str, typer.Option(help="Names of methods, with semicolons; all by default.")] = "",
    work_dir: Annotated[Path, typer.Option(help="Pretrained predictors are kept here.")] = Path("runs/bench-predictor"),
    threads: Threads = 2,
    out: Out = Path("runs/bench-predictor.jsonl"),
    as_json: Json = False,
) -> None:
    """How GENNAPE and its baselines rank networks, without labels and with a few."""

    def work() -> list[dict[str, Any]]:
        import sys

        import torch

        from benchmarks.predictor_quality import KEY, METHODS, SETTINGS, Families, run, summary
        from benchmarks.results import ResultsFile

        torch.set_num_threads(threads)
        chosen = [SETTINGS[place] for place in (_numbers(only, "--only") if only else range(len(SETTINGS)))]
        names = [name.strip() for name in methods.split(";")] if methods else list(METHODS)
        for name in names:
            _one_of("--methods", name, tuple(METHODS))
        families = Families(table_dir, work_dir, lambda line: print(line, file=sys.stderr))
        rows = run(families, ResultsFile(out, KEY), seeds=_numbers(seeds, "--seeds"), settings=chosen, methods=names)
        return summary(list(rows))

    header = ("networks", "labels", "proxies", "method", "pretrained on", "tau", "rho", "90 % interval", "seeds")
    _finish(work, header, lambda row: (
        row["networks"], str(row["labels"]), "yes" if row["with_proxies"] else "no", row["method"],
        row["pretrained_on"], *(
            f"{row[name]:.3f} +- {row[name + '_spread']:.3f}" if name in row else ""
            for name in ("kendall_tau", "spearman_rho", "coverage_90")
        ), str(len(row["seeds"])),
    ), as_json)  # fmt: skip


@app.command()
def strategy(
    table_dir: Annotated[Path, typer.Option(help="Folder with nasbench_macro.csv.gz and nasbench201.csv.gz.")],
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 100,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them; 0 for reports, 1000 to develop.")] = 0,
    spaces: Annotated[str, typer.Option(help="Names of spaces, with commas.")] = "nasbench_macro,nasbench201",
    methods: Annotated[str, typer.Option(help="Names of methods, with commas; 'all' for all.")] = "all",
    out: Out = Path("runs/bench-strategy.jsonl"),
    as_json: Json = False,
) -> None:
    """Regret of search strategies on tables, in accuracy points, after 50, 100, 150 and 200 evaluations."""

    def work() -> list[dict[str, Any]]:
        from benchmarks.results import ResultsFile
        from benchmarks.strategy_methods import METHODS
        from benchmarks.strategy_regret import KEY, run, summary

        rows = run(
            table_dir, ResultsFile(out, KEY), spaces=_names(spaces),
            methods=list(METHODS) if methods == "all" else _names(methods), seeds=range(first_seed, first_seed + seeds),
        )  # fmt: skip
        return summary(list(rows))

    _finish(work, ("space", "method", "evaluations", "regret", "standard error", "mean found", "time"), lambda row: (
        row["space"], row["method"], *(
            " ".join(f"{value:{form}}" for value in row[name])
            for name, form in (
                ("evaluations", "d"), ("regret", ".3f"), ("regret_standard_error", ".3f"), ("mean_found", ".2f"),
            )
        ), f"{row['seconds']:.0f} s",
    ), as_json)  # fmt: skip


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _rows(
    out: Path, keys: list[dict[str, Any]], make: Callable[[dict[str, Any]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row for each key: from the results file where it is there, otherwise made and appended."""
    from benchmarks.results import ResultsFile

    results = ResultsFile(out, tuple(keys[0]))
    rows = []
    for key in keys:
        known = results.find(**key)
        if known is None:
            known = make(key)
            results.append(known)
        rows.append(known)
    return rows


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{option}: expected {' or '.join(known)}, got {value!r}")


def _numbers(text: str, option: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"{option}: expected whole numbers with commas between them, got {text!r}")
    return [int(part) for part in parts]


def _load(data: str) -> "ImageDataset":
    from functools import partial

    from nasengine import registry
    from nasengine.data import load_dataset

    return load_dataset(data, {name: partial(registry.load("dataset", name)) for name in registry.names("dataset")})


def _finish(work: Any, header: tuple[str, ...], line: Any, as_json: bool) -> None:
    """Run a benchmark; print its rows as JSON or as a table."""
    import inspect
    import sys

    from rich.console import Console
    from rich.table import Table

    try:
        rows = work()
    except NasEngineError as fault:
        message = " ".join(str(fault).split())
        sys.stderr.write(f"nasengine: {message}\n")
        if as_json:
            print(json.dumps({"error": message}))
        raise typer.Exit(EXIT_BAD_INPUT) from None
    if as_json:
        print(json.dumps(rows))
        return
    shown = Table(*header)
    for entry in [line(row) for row in rows] if inspect.signature(line).parameters else line():
        shown.add_row(*entry)
    Console().print(shown)
