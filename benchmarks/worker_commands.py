"""``nasengine bench workers``: a run in one process against the same run on several."""

from typing import Annotated, Any

import typer

from benchmarks.options import Json, Threads, finish, names


def workers(
    space: Annotated[str, typer.Option(help="Search space.")] = "nasbench201",
    data: Annotated[str, typer.Option(help="What 'nasengine search --data' takes.")] = "digits",
    budget: Annotated[str, typer.Option(help="quick, standard or full.")] = "standard",
    seed: Annotated[int, typer.Option(help="Of the run.")] = 0,
    kinds: Annotated[str, typer.Option("--workers", help="As of 'nasengine search', with commas.")] = "2",
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """Seconds of the leaves of a few-shot supernet, and whether winner and weights are the same."""

    def work() -> list[dict[str, Any]]:
        from benchmarks.worker_speed import run
        from nasengine.pipeline import SearchSettings

        content = {"space": space, "data": data, "budget": budget, "seed": seed, "threads": threads}
        return list(run(SearchSettings.read(content, "nasengine bench workers"), names(kinds)))

    header = ("workers", "leaves", "speed-up", "same winner and weights")
    finish(work, header, lambda row: (
        row["workers"], f"{row['seconds']:.1f} s", f"{row['speed_up']:.2f}x", "yes" if row["same_as_serial"] else "NO",
    ), as_json)  # fmt: skip
