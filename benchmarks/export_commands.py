"""``nasengine bench export``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.options import Json, Out, Seeds, Threads, finish, load, names, numbers, one_of


def export(
    spaces: Annotated[str, typer.Option(help="Names of search spaces, with commas; 'all' for all.")] = "all",
    data: Annotated[str, typer.Option(help="What 'nasengine search --data' takes.")] = "digits",
    seeds: Seeds = "0,1,2",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of each training.", show_default="12, of transformers 24")
    ] = None,
    threads: Threads = 1,
    out: Out = Path("runs/bench-export.jsonl"),
    as_json: Json = False,
) -> None:
    """Files of trained networks: deviation, accuracy and bytes of int8 and float16, latency against eager PyTorch."""
    shown: list[dict[str, Any]] = []

    def work() -> list[dict[str, Any]]:
        import sys

        import torch

        from benchmarks.export_quality import KEY, run
        from benchmarks.results import ResultsFile
        from nasengine import registry

        torch.set_num_threads(threads)
        known = tuple(registry.names("search space"))
        chosen = list(known) if spaces == "all" else names(spaces)
        for name in chosen:
            one_of("--spaces", name, known)
        shown.extend(run(
            chosen, load(data), ResultsFile(out, KEY), seeds=numbers(seeds, "--seeds"), threads=threads,
            epochs=epochs, report=lambda line: print(line, file=sys.stderr),
        ))  # fmt: skip
        return shown

    header = ("space", "seed", "parameters", "deviation", "agreement", "accuracy", "int8", "method", "bytes",
              "share", "eager", "onnx", "of eager", "int8 latency", "missed")  # fmt: skip
    finish(work, header, _line, as_json)


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    from benchmarks.export_quality import misses

    return (
        row["space"], str(row["seed"]), f"{row['num_parameters']:,}", f"{row['max_deviation']:.1e}",
        f"{row['top1_agreement']:.2%}", f"{row['accuracy']:.2%}", f"{row['int8_accuracy']:.2%}", row["method"],
        f"{row['int8_bytes']:,}", f"{row['size_ratio']:.3f}", f"{row['eager_ms']:.3f} ms", f"{row['onnx_ms']:.3f} ms",
        f"{row['runtime_ratio']:.2f}x", f"{row['int8_ms']:.3f} ms", ", ".join(misses(row)),
    )  # fmt: skip
