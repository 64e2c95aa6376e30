"""``nasengine describe``: an architecture as a picture, and what it costs."""

import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.commands.options import Given, takes
from nasengine.errors import ConfigError
from nasengine.report.console import Json, finish, print_table
from nasengine.report.tables import describe_table

if TYPE_CHECKING:
    from nasengine.graph import ComputationGraph
    from nasengine.protocols import NetworkConfig, SearchSpace

CellsOption = Annotated[int | None, typer.Option(min=1, max=200, help="Cells (in each stage, for nasbench201).")]


@dataclass(frozen=True)
class DescribeOptions:
    """What a user says on the command line."""

    architecture: Annotated[str, typer.Argument(help="Genotype as the papers print it, or 'random'.")]
    space: Annotated[str, typer.Option("--space", help="Name of a search space; see 'nasengine spaces'.")] = "darts"
    channels: Annotated[int | None, typer.Option(min=1, max=4096, help="Channels of the first cells.")] = None
    cells: CellsOption = None
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 10
    image: Annotated[str, typer.Option(help="Size of the images as CHANNELSxHEIGHTxWIDTH.")] = "3x32x32"
    seed: Annotated[int, typer.Option(help="For 'random'.")] = 0
    out: Annotated[Path | None, typer.Option(help="Picture of the cells, .png or .svg.")] = None
    as_json: Json = False


@takes(DescribeOptions)
def describe(options: DescribeOptions, given: Given) -> None:
    """Draw an architecture and print what it costs."""

    def show(content: dict[str, Any]) -> None:
        typer.echo(content["genotype"])
        print_table(*describe_table(content))

    finish(lambda: _described(options), show, options.as_json)


def _described(options: DescribeOptions) -> dict[str, Any]:
    from nasengine import registry
    from nasengine.graph import cost, fingerprint

    space = registry.load("search space", options.space)
    is_random = options.architecture == "random"
    chosen = space.sample(random.Random(options.seed)) if is_random else space.parse(options.architecture)
    config = _config(space.defaults, options)
    graph = space.to_graph(chosen, config)
    picture = _picture(space, chosen, graph, options)
    return {
        "space": options.space,
        "genotype": space.format(chosen),
        **asdict(cost(graph)),
        "num_nodes": len(graph),
        "fingerprint": fingerprint(graph),
        "channels": config.channels,
        "cells": config.cells,
        "picture": None if picture is None else str(picture),
    }


def _config(usual: "NetworkConfig", options: DescribeOptions) -> "NetworkConfig":
    return replace(
        usual,
        num_classes=options.classes,
        image_shape=_image_shape(options.image),
        channels=options.channels or usual.channels,
        cells=options.cells or usual.cells,
    )


def _image_shape(text: str) -> tuple[int, ...]:
    sizes = text.lower().split("x")
    if len(sizes) != 3 or not all(size.isdecimal() and 0 < int(size) <= 4096 for size in sizes):
        raise ConfigError(f"--image: expected CHANNELSxHEIGHTxWIDTH such as 3x32x32, got {text!r}")
    return tuple(int(size) for size in sizes)


def _picture(space: "SearchSpace", chosen: Any, graph: "ComputationGraph", options: DescribeOptions) -> Path | None:
    """Draw the cells, if the space has any; None without a picture."""
    from nasengine.cells import genotype_of
    from nasengine.graph import fingerprint
    from nasengine.protocols import SupportsSupernet
    from nasengine.report.cell_drawing import draw_cells

    if isinstance(space, SupportsSupernet):
        picture = options.out or Path(f"{options.space}-{fingerprint(graph)[:8]}.png")
        cells = genotype_of(space.topology, space.selection(chosen))
        draw_cells(space.topology, cells, picture, title=options.space)
        return picture
    if options.out is not None:
        raise ConfigError(
            f"--out: expected a space of cells, which can be drawn, got {options.space}; leave --out away"
        )
    return None
