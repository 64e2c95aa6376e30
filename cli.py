"""The command line: parses, finds parts by name, shows progress, prints. No algorithm lives here.

torch and everything that needs it are imported inside the commands, so that ``nasengine --help`` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.commands import app as bench
from export.commands import export
from export.profile_command import profile
from export.target_commands import app as target
from nasengine.commands.init import init
from nasengine.commands.nni import nni
from nasengine.commands.report import report
from nasengine.commands.search import RUNS_FOLDER, search
from nasengine.commands.ui import ui
from nasengine.errors import ConfigError
from nasengine.report.console import EXIT_BAD_INPUT, EXIT_INTERRUPTED, Json, finish, print_table
from nasengine.report.tables import describe_table, runs_table, spaces_table
from predictors.commands import app as predictor
from predictors.commands import score
from predictors.latency.commands import fit_latency

app = typer.Typer(
    help="Neural architecture search: from your images to a trained network and a checked ONNX file.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(bench, name="bench")
app.add_typer(predictor, name="predictor")
target.command()(profile)
target.command(name="fit")(fit_latency)
app.add_typer(target, name="target")
app.command()(search)
app.command()(score)
app.command()(init)
app.command()(export)
app.command()(report)
app.command()(ui)
app.command()(nni)


Space = Annotated[str, typer.Option("--space", help="Name of a search space; see 'nasengine spaces'.")]


@app.command()
def spaces(as_json: Json = False) -> None:
    """List the search spaces that are installed."""

    def work() -> dict[str, Any]:
        from nasengine import registry

        found = [registry.load("search space", name) for name in registry.names("search space")]
        return {
            "spaces": [
                {"name": space.name, "title": space.title, "size": space.size, "paper": space.paper} for space in found
            ]
        }

    finish(work, lambda content: print_table(*spaces_table(content)), as_json)


@app.command()
def describe(
    architecture: Annotated[str, typer.Argument(help="Genotype as the papers print it, or 'random'.")],
    space: Space = "darts",
    channels: Annotated[int | None, typer.Option(min=1, max=4096, help="Channels of the first cells.")] = None,
    cells: Annotated[int | None, typer.Option(min=1, max=200, help="Cells (in each stage, for nasbench201).")] = None,
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 10,
    image: Annotated[str, typer.Option(help="Size of the images as CHANNELSxHEIGHTxWIDTH.")] = "3x32x32",
    seed: Annotated[int, typer.Option(help="For 'random'.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Picture of the cells, .png or .svg.")] = None,
    as_json: Json = False,
) -> None:
    """Draw an architecture and print what it costs."""

    def work() -> dict[str, Any]:
        import random
        from dataclasses import asdict, replace

        from nasengine import registry
        from nasengine.cells import genotype_of
        from nasengine.graph import cost, fingerprint
        from nasengine.protocols import SupportsSupernet
        from nasengine.report.cell_drawing import draw_cells

        found = registry.load("search space", space)
        chosen = found.sample(random.Random(seed)) if architecture == "random" else found.parse(architecture)
        config = replace(
            found.defaults,
            num_classes=classes,
            image_shape=_image_shape(image),
            channels=channels or found.defaults.channels,
            cells=cells or found.defaults.cells,
        )
        graph = found.to_graph(chosen, config)
        picture = None
        if isinstance(found, SupportsSupernet):
            picture = out or Path(f"{space}-{fingerprint(graph)[:8]}.png")
            draw_cells(found.topology, genotype_of(found.topology, found.selection(chosen)), picture, title=f"{space}")
        elif out is not None:
            raise ConfigError(f"--out: expected a space of cells, which can be drawn, got {space}; leave --out away")
        return {
            "space": space,
            "genotype": found.format(chosen),
            **asdict(cost(graph)),
            "num_nodes": len(graph),
            "fingerprint": fingerprint(graph),
            "channels": config.channels,
            "cells": config.cells,
            "picture": None if picture is None else str(picture),
        }

    def show(content: dict[str, Any]) -> None:
        print(content["genotype"])
        print_table(*describe_table(content))

    finish(work, show, as_json)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds run folders.")] = RUNS_FOLDER,
    as_json: Json = False,
) -> None:
    """List runs: what they searched, how far they are, what came out."""

    def work() -> dict[str, Any]:
        from nasengine.errors import StoreError
        from nasengine.store import list_runs

        if not folder.is_dir():
            raise StoreError(f"runs folder {folder}: expected a folder of runs, got none; start one: nasengine search")
        return {
            "runs": [
                {"run": str(found.folder), "status": found.status, "settings": found.settings, "summary": found.summary}
                for found in list_runs(folder)
            ]
        }

    finish(work, lambda content: print_table(*runs_table(content)), as_json)


# --- parts ----------------------------------------------------------------------------------------------------------


def _image_shape(text: str) -> tuple[int, ...]:
    sizes = text.lower().split("x")
    if len(sizes) != 3 or not all(size.isdecimal() and 0 < int(size) <= 4096 for size in sizes):
        raise ConfigError(f"--image: expected CHANNELSxHEIGHTxWIDTH such as 3x32x32, got {text!r}")
    return tuple(int(size) for size in sizes)


def main() -> None:
    """Entry point of the ``nasengine`` command."""
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        sys.exit(app(standalone_mode=False))
    except typer.Abort:
        sys.stderr.write("interrupted\n")
        sys.exit(EXIT_INTERRUPTED)
    except typer.TyperException as fault:  # an unknown command or option, or a value of the wrong type
        message = " ".join(fault.format_message().split()).rstrip(".")
        sys.stderr.write(f"nasengine: {message}; see nasengine --help\n")
        sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    main()
