"""``nasengine bench workers``: a run in one process against the same run on several."""

from typing import Annotated, Any

import typer

from benchmarks.options import Json, Threads, finish, names


def workers(
    space: Annotated[str, typer.Option(help="Search space.")] = "nasbench201",
    data: Annotated[str, typer.Option(help="What 'nasengine search --data' takes.")] = "digits",
    budget: Annotated[str, typer.Option(help="quick, standard or full.")] = "standard",
    training: Annotated[str, typer.Option(help="Of the supernet, as of 'nasengine search'.")] = "fixed",
    predictor: Annotated[str | None, typer.Option(help="Proposes finalists as well.", show_default="none")] = None,
    seed: Annotated[int, typer.Option(help="Of the run.")] = 0,
    kinds: Annotated[str, typer.Option("--workers", help="As of 'nasengine search', with commas.")] = "2",
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """Seconds of the leaves of a few-shot supernet and of their race, and whether winner and weights are the same."""

    def work() -> list[dict[str, Any]]:
        from benchmarks.worker_speed import run
        from nasengine.assembly import completed
        from nasengine.pipeline import SearchSettings

        content = {"space": space, "data": data, "budget": budget, "seed": seed, "threads": threads}
        content |= completed(space, training, None, None) | {"predictor": predictor}
        return list(run(SearchSettings.read(content, "nasengine bench workers"), names(kinds)))

    header = ("workers", "leaves", "speed-up", "race", "speed-up", "same winner and weights")
    finish(work, header, lambda row: (
        row["workers"], f"{row['seconds']:.1f} s", f"{row['speed_up']:.2f}x", f"{row['race_seconds']:.1f} s",
        f"{row['race_speed_up']:.2f}x", "yes" if row["same_as_serial"] else "NO",
    ), as_json)  # fmt: skip
