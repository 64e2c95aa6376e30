"""``nasengine bench predictor``, ``predictor-speed`` and ``strategy``: what is measured on tables."""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.options import Json, Out, Seeds, Threads, finish, names, numbers, one_of
from nasengine.errors import ConfigError

TableDir = Annotated[Path, typer.Option(help="Folder with the tables of NAS-Bench-201, 101 and Macro.")]
WorkDir = Annotated[Path, typer.Option(help="Pretrained predictors are kept here.")]
Only = Annotated[str, typer.Option(help="Settings to run: their places in the list, with commas; all by default.")]


def predictor(
    table_dir: TableDir,
    seeds: Seeds = "0,1,2,3,4",
    only: Only = "",
    methods: Annotated[str, typer.Option(help="Names of methods, with semicolons; all by default.")] = "",
    work_dir: WorkDir = Path("runs/bench-predictor"),
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
        places = numbers(only, "--only") if only else list(range(len(SETTINGS)))
        if max(places) >= len(SETTINGS):
            raise ConfigError(f"--only: expected places from 0 to {len(SETTINGS) - 1}, got {only}")
        chosen = [SETTINGS[place] for place in places]
        names = [name.strip() for name in methods.split(";")] if methods else list(METHODS)
        for name in names:
            one_of("--methods", name, tuple(METHODS))
        families = Families(table_dir, work_dir, lambda line: print(line, file=sys.stderr))
        rows = run(families, ResultsFile(out, KEY), seeds=numbers(seeds, "--seeds"), settings=chosen, methods=names)
        return summary(list(rows))

    header = ("networks", "labels", "proxies", "method", "pretrained on", "tau", "rho", "90 % interval", "seeds")
    finish(work, header, lambda row: (
        row["networks"], str(row["labels"]), "yes" if row["with_proxies"] else "no", row["method"],
        row["pretrained_on"], *(
            f"{row[name]:.3f} +- {row[name + '_spread']:.3f}" if name in row else ""
            for name in ("kendall_tau", "spearman_rho", "coverage_90")
        ), str(len(row["seeds"])),
    ), as_json)  # fmt: skip


def ablation(
    table_dir: TableDir,
    seeds: Seeds = "0,1,2,3,4",
    work_dir: WorkDir = Path("runs/bench-predictor"),
    threads: Threads = 2,
    out: Out = Path("runs/bench-ablation.jsonl"),
    as_json: Json = False,
) -> None:
    """GENNAPE without each of its parts."""

    def work() -> list[dict[str, Any]]:
        import sys

        import torch

        from benchmarks.predictor_ablation import KEY, run
        from benchmarks.predictor_quality import Families
        from benchmarks.results import ResultsFile

        torch.set_num_threads(threads)
        families = Families(table_dir, work_dir, lambda line: print(line, file=sys.stderr))
        return list(run(families, ResultsFile(out, KEY), seeds=numbers(seeds, "--seeds")))

    finish(work, ("networks", "labels", "variant", "seed", "tau", "rho"), lambda row: (
        row["networks"], str(row["labels"]), row["variant"], str(row["seed"]), f"{row['kendall_tau']:.3f}",
        f"{row['spearman_rho']:.3f}",
    ), as_json)  # fmt: skip


def predictor_speed(
    space: Annotated[str, typer.Option(help="Where genotypes are drawn from.")] = "nasbench201",
    count: Annotated[int, typer.Option(min=1, help="Distinct genotypes.")] = 10_000,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Networks that the shipped predictor scores in a second, from genotypes."""

    def work() -> list[dict[str, Any]]:
        from benchmarks.predictor_speed import run

        return [run(space, count, threads=threads)]

    finish(work, ("space", "networks", "seconds", "networks a second", "peak memory"), lambda row: (
        row["space"], f"{row['networks']:,}", f"{row['seconds']:.1f}", f"{row['networks_per_second']:,.0f}",
        f"{row['peak_bytes'] / 2**30:.2f} GiB, {row['peak_bytes_before'] / 2**30:.2f} GiB before",
    ), as_json)  # fmt: skip


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
            table_dir, ResultsFile(out, KEY), spaces=names(spaces),
            methods=list(METHODS) if methods == "all" else names(methods), seeds=range(first_seed, first_seed + seeds),
        )  # fmt: skip
        return summary(list(rows))

    finish(work, ("space", "method", "evaluations", "regret", "standard error", "mean found", "time"), lambda row: (
        row["space"], row["method"], *(
            " ".join(f"{value:{form}}" for value in row[name])
            for name, form in (
                ("evaluations", "d"), ("regret", ".3f"), ("regret_standard_error", ".3f"), ("mean_found", ".2f"),
            )
        ), f"{row['seconds']:.0f} s",
    ), as_json)  # fmt: skip
