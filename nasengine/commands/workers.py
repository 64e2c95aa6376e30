"""The option that spreads a run over processes or machines."""

from typing import Annotated

import typer

WorkersOption = Annotated[
    str | None,
    typer.Option(
        help="Spread the run over processes of this machine (a number), a Ray cluster on it (ray or ray:NUMBER) or "
        "elsewhere (ray://HOST:PORT); the outcome is the same.",
        show_default="none",
    ),
]
