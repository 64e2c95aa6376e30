"""``nasengine bench init``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.options import Json, Out, Seeds, Threads, finish, load, names, numbers, one_of

SETUPS = ("nasbench201-digits", "transformer-digits", "nasbench201-cifar10")


def init(
    setups: Annotated[str, typer.Option(help=f"Names among {', '.join(SETUPS)}, with commas.")] = ",".join(SETUPS[:2]),
    data: Annotated[str, typer.Option(help="CIFAR-10, for the setup that needs it.")] = "",
    seeds: Seeds = "0,1,2",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of trainings from scratch.", show_default="each setup's")
    ] = None,
    threads: Threads = 2,
    out: Out = Path("runs/bench-init.jsonl"),
    as_json: Json = False,
) -> None:
    """How families of ten depths begin: stage-wise sharing against other ways, and against training from scratch."""
    shown: list[dict[str, Any]] = []

    def work() -> list[dict[str, Any]]:
        import sys

        import torch

        from benchmarks import initialization_setups
        from benchmarks.initialization_quality import KEY, run, summary
        from benchmarks.results import ResultsFile
        from nasengine.errors import ConfigError

        torch.set_num_threads(threads)
        chosen = names(setups)
        for name in chosen:
            one_of("--setups", name, SETUPS)
        if SETUPS[2] in chosen and not data:
            raise ConfigError(f"--data: expected CIFAR-10 for {SETUPS[2]}, got nothing")
        cifar = load(data) if data else None
        results = ResultsFile(out, KEY)
        for setup in initialization_setups.setups(chosen, load("digits"), cifar, epochs):
            rows = run(
                setup, results, seeds=numbers(seeds, "--seeds"), report=lambda line: print(line, file=sys.stderr)
            )
            shown.extend(summary(setup, list(rows)))
        return shown

    def lines() -> list[tuple[str, ...]]:
        from benchmarks.initialization_quality import FIGURES

        return [
            (row["setup"], row["arm"], *(_figure(row, name) for name in FIGURES), str(row.get("storage_ratio", "")))
            for row in shown
        ]

    finish(work, ("setup", "arm", "0 epochs", "1", "a tenth", "as costly", "all", "stored"), lines, as_json)


def _figure(row: dict[str, Any], name: str) -> str:
    return f"{row[name]:.3f} +- {row[name + '_spread']:.3f}" if name in row else ""
