"""What the commands of ``nasengine bench`` share: options, reading them, and printing rows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.errors import ConfigError, NasEngineError

if TYPE_CHECKING:
    from nasengine.data import ImageDataset

Json = Annotated[bool, typer.Option("--json", help="Print one JSON list of rows on stdout and nothing else there.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of torch on the CPU.")]
Seeds = Annotated[str, typer.Option(help="Seeds, with commas between them.")]
TablePath = Annotated[Path, typer.Option(help="nasbench201.csv.gz.")]
DataPath = Annotated[str, typer.Option(help="CIFAR-10 as parquet files, or what 'nasengine search --data' takes.")]
Out = Annotated[Path, typer.Option(help="Finished rows are appended here and not run again.")]
EXIT_BAD_INPUT = 2


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def finished_rows(
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


def one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{option}: expected {' or '.join(known)}, got {value!r}")


def numbers(text: str, option: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"{option}: expected whole numbers with commas between them, got {text!r}")
    return [int(part) for part in parts]


def load(data: str) -> "ImageDataset":
    from functools import partial

    from nasengine import registry
    from nasengine.data import load_dataset

    return load_dataset(data, {name: partial(registry.load("dataset", name)) for name in registry.names("dataset")})


def finish(work: Any, header: tuple[str, ...], line: Any, as_json: bool) -> None:
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
