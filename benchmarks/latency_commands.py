"""``nasengine bench latency``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.options import Json, Out, Seeds, finish, names, numbers


def latency(
    table_dir: Annotated[Path, typer.Option(help="Folder with nasbench201_hardware.csv.gz.")],
    devices: Annotated[str, typer.Option(help="raspi4, edgegpu, edgetpu; with commas.")] = "raspi4,edgegpu,edgetpu",
    labels: Annotated[str, typer.Option(help="Measured networks to learn from, with commas.")] = "100,300,900",
    seeds: Seeds = "0,1,2,3,4",
    out: Out = Path("runs/bench-latency.jsonl"),
    as_json: Json = False,
) -> None:
    """Predicted latency against measured latency of all other networks of the table."""
    shown: list[dict[str, Any]] = []

    def work() -> list[dict[str, Any]]:
        from benchmarks.latency_prediction import KEY, run
        from benchmarks.results import ResultsFile

        results = ResultsFile(out, KEY)
        shown.extend(run(table_dir, results, devices=names(devices), labels=numbers(labels, "--labels"),
                         seeds=numbers(seeds, "--seeds")))  # fmt: skip
        return shown

    def lines() -> list[tuple[str, ...]]:
        from benchmarks.latency_prediction import summary

        return summary(shown)

    header = ("device", "labels", "method", "Spearman rho", "within 10 %", "median error", "90 % intervals", "runs")
    finish(work, header, lines, as_json)
