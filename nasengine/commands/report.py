"""``nasengine report``: the page of a run; and the same page when a search ends, however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.errors import NasEngineError
from nasengine.report.console import Json, finish, print_table
from nasengine.report.tables import Rows

if TYPE_CHECKING:
    from nasengine.protocols import SupernetSpace
    from nasengine.store import RunStore


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    out: Annotated[Path | None, typer.Option(help="HTML file to write.", show_default="RUN/report.html")] = None,
    as_json: Json = False,
) -> None:
    """Write one HTML file that shows all of a run; it needs no network and no other file."""

    def work() -> dict[str, Any]:
        return write_report(run, out)

    def show(content: dict[str, Any]) -> None:
        rows: Rows = [
            ("page", content["page"]),
            ("run", content["status"]),
            ("size", f"{content['bytes'] / 1e3:,.0f} KB"),
        ]
        print_table(("", "report"), rows)

    finish(work, show, as_json)


def write_report(run: Path, out: Path | None = None) -> dict[str, Any]:
    """Write the page of a run.

    Args:
        run: its folder.
        out: file to write; ``report.html`` in the folder by default.

    Returns:
        Where it is, its size, and how far the run is.

    Raises:
        StoreError: no run, or no place for the page.
    """
    from nasengine.report.html_page import PAGE_NAME, write_page
    from nasengine.report.run_reading import read_run

    content = read_run(run)
    path = out or run / PAGE_NAME
    write_page(content, _space(content.settings.get("space")), path)
    return {"page": str(path), "bytes": path.stat().st_size, "status": content.status, "faults": list(content.faults)}


@contextmanager
def reported(store: "RunStore") -> Iterator[None]:
    """While a search runs: if it is interrupted or fails, its journal says why, and its page shows how far it came."""
    try:
        yield
    except (NasEngineError, KeyboardInterrupt) as fault:
        reason = "interrupted" if isinstance(fault, KeyboardInterrupt) else str(fault)
        with suppress(NasEngineError):  # the disk may be full: what stopped the run is what counts
            from nasengine.report.run_reading import STOPPED

            store.record(STOPPED, reason=reason)
            write_report(store.folder)
        raise


def _space(name: Any) -> "SupernetSpace | None":
    """A search space that is installed and has cells."""
    from nasengine import registry
    from nasengine.protocols import SupernetSpace

    if not isinstance(name, str) or name not in registry.names("search space"):
        return None
    found = registry.load("search space", name)
    return found if isinstance(found, SupernetSpace) else None
