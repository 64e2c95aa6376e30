"""``nasengine spaces`` and ``nasengine runs``: what there is."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nasengine.commands.run_folders import RUNS_FOLDER
from nasengine.report.console import Json, finish, print_table
from nasengine.report.tables import runs_table, spaces_table


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
