"""Options that say how a search trains, selects and proposes; what is usual depends on the space."""

from typing import Annotated

import typer

TrainingOption = Annotated[
    str | None,
    typer.Option(
        help="Supernet training: fixed, darts, darts-second-order, snas, beta-darts, drnas, proxyless or single-path; "
        "sandwich or shrinking where the supernet is elastic.",
        show_default="fixed; sandwich for elastic",
    ),
]
SelectionOption = Annotated[
    str | None,
    typer.Option(
        help="perturbation, magnitude or sampled-paths.",
        show_default="perturbation; sampled-paths for single-path and elastic",
    ),
]
StrategyOption = Annotated[
    str | None,
    typer.Option(help="Proposes paths for sampled-paths.", show_default="random; regularized_evolution for elastic"),
]
AlsoMacsOption = Annotated[
    str,
    typer.Option(
        help="Further limits on multiply-accumulates, such as 5M,10M: a network for each, from one elastic supernet."
    ),
]
FineTuneOption = Annotated[
    bool,
    typer.Option("--fine-tune/--from-scratch", help="Networks of an elastic supernet inherit its weights, or do not."),
]
