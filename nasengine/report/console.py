"""How commands end: with a table, one JSON object, or one sentence and exit code 2."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from nasengine.errors import NasEngineError

if TYPE_CHECKING:
    from nasengine.report.progress import RunProgress

EXIT_BAD_INPUT, EXIT_INTERRUPTED = 2, 130

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]


def finish(work: Callable[[], dict[str, Any]], show: Callable[[dict[str, Any]], None], as_json: bool) -> None:
    """Run a command; errors that a user can mend become one line and exit code 2."""
    try:
        content = work()
    except NasEngineError as fault:
        fail(str(fault), as_json)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if as_json:
        sys.stdout.write(json.dumps(content) + "\n")
    else:
        show(content)


@contextmanager
def shown(progress: "RunProgress", advice: str = "") -> Iterator[None]:
    """Inside, progress is shown; who interrupts it is told how to go on, and the command ends.

    Args:
        progress: of the work inside.
        advice: how to go on, where that can be done.
    """
    try:
        progress.start()
        yield
    except KeyboardInterrupt:
        progress.stop()
        sys.stderr.write(f"interrupted; {advice}\n" if advice else "interrupted\n")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    finally:
        progress.stop()


def fail(message: str, as_json: bool) -> NoReturn:
    """End with one line on stderr."""
    line = " ".join(message.split())
    sys.stderr.write(f"nasengine: {line}\n")
    if as_json:
        sys.stdout.write(json.dumps({"error": line}) + "\n")
    raise typer.Exit(EXIT_BAD_INPUT)


def print_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A table on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, show_lines=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
