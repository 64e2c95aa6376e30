"""Options that several commands take, each declared once; and commands that take theirs as one value."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

DataOption = Annotated[
    str, typer.Option(help="'digits', a folder of images or parquet files, an .npz file, or hub:NAME.")
]
SeedOption = Annotated[int, typer.Option(help="All randomness of the run comes from it.")]
TargetOption = Annotated[str | None, typer.Option(help="Device that the winner is for; see 'nasengine target list'.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
WorkersOption = Annotated[
    str | None,
    typer.Option(
        help="Spread the run over processes of this machine (a number), a Ray cluster on it (ray or ray:NUMBER) or "
        "elsewhere (ray://HOST:PORT); the outcome is the same.",
        show_default="none",
    ),
]
NewRunOption = Annotated[
    Path | None, typer.Option(help="Run folder, new or empty.", show_default="runs/SPACE-DATA-TIME")
]
ResumeOption = Annotated[Path | None, typer.Option(help="Go on with this run; its own settings count.")]

Options = TypeVar("Options")
Given = frozenset[str]
"""Names of the options that stand on the command line, even where they have their usual values."""


def takes(options: type[Options]) -> Callable[[Callable[[Options, Given], None]], Callable[..., None]]:
    """Make a command of a function that takes all its options as one value, and the names of those that were given.

    typer reads the options of a command from its signature; here these are the fields of a dataclass, whose types are
    ``Annotated`` as typer wants them.

    Args:
        options: the dataclass.
    """

    def command_of(work: Callable[[Options, Given], None]) -> Callable[..., None]:
        @wraps(work)
        def command(context: Any, **values: Any) -> None:
            sources = {name: context.get_parameter_source(name) for name in values}
            given = (name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")
            work(options(**values), frozenset(given))

        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        fields = inspect.signature(options).parameters.values()
        command.__signature__ = inspect.Signature([context, *fields])  # type: ignore[attr-defined]
        return command

    return command_of
