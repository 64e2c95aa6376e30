"""``nasengine target profile``: measures this machine."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.report.console import Json, finish, print_table, shown

if TYPE_CHECKING:
    from export.operator_profile import ProfileSettings
    from nasengine.protocols import NetworkConfig, SearchSpace


def profile(
    space: Annotated[list[str], typer.Option(help="Search space; give it once for each. See 'nasengine spaces'.")],
    out: Annotated[Path, typer.Option(help="Table to write, .json; goes on with one of this machine.")],
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Of the runtime.")] = 1,
    architectures: Annotated[int, typer.Option(min=1, max=100_000, help="Random ones whose units are measured.")] = 200,
    runs: Annotated[int, typer.Option(min=1, max=100_000, help="Of each unit.")] = 100,
    networks: Annotated[int, typer.Option(min=3, max=1000, help="Whole ones that the sum of units is fitted to.")] = 20,
    channels: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Of the first cells.", show_default="the space's")
    ] = None,
    cells: Annotated[
        int | None,
        typer.Option(min=1, max=200, help="Cells (in each stage, for nasbench201).", show_default="the space's"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of samples and orders.")] = 0,
    as_json: Json = False,
) -> None:
    """Measure what the parts of networks take on this machine, for latency predictions: a look-up table."""

    def work() -> dict[str, Any]:
        from export.operator_profile import ProfileSettings

        settings = ProfileSettings(threads, architectures, runs, networks, seed)
        return _profile([_sized(name, channels, cells) for name in space], out, settings)

    finish(work, show_profile, as_json)


def _sized(name: str, channels: int | None, cells: int | None) -> tuple["SearchSpace", "NetworkConfig"]:
    """A space, with networks of a size; where none is given, of its own."""
    from nasengine import registry

    space = registry.load("search space", name)
    usual = space.defaults
    return space, replace(usual, channels=channels or usual.channels, cells=cells or usual.cells)


def _profile(
    spaces: list[tuple["SearchSpace", "NetworkConfig"]], out: Path, settings: "ProfileSettings"
) -> dict[str, Any]:
    from export.operator_profile import profile as measure_profile
    from nasengine.report.progress import make_progress

    progress = make_progress()
    with shown(progress, "the same command goes on"):
        return measure_profile(spaces, out, settings, progress)[1]


def show_profile(content: dict[str, Any]) -> None:
    """The summary of a profile as a table."""
    known = content["calibration"]
    rows: list[tuple[str, ...]] = [
        ("table", content["table"]),
        ("units", str(content["entries"])),
        ("machine", f"{content['machine']['cpu']}, {content['machine']['threads']} threads"),
        ("clock", content["machine"]["clock"]),
        ("onnxruntime", content["machine"]["onnxruntime"]),
        ("networks measured", str(known["networks"])),
        ("latency", f"{known['intercept_ms']:.3f} ms + {known['slope']:.3f} x sum of units"),
        (
            "error of networks left out",
            f"median {known['median_relative_error']:.1%}, rms {known['relative_error']:.1%}",
        ),
    ]
    if content["load_average"] is not None:
        rows.append(("load of the machine", f"{content['load_average']:.1f}"))
    if content["skipped_kinds"]:
        rows.append(("estimated, not measured", ", ".join(content["skipped_kinds"])))
    print_table(("", "profile"), rows)
