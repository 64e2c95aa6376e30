"""Folders of runs: where a new one lies, and what a command takes to go on in one."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nasengine.commands.options import Given
from nasengine.errors import ConfigError

if TYPE_CHECKING:
    from nasengine.pipeline import SearchSettings

RUNS_FOLDER = Path("runs")


def new_folder(settings: "SearchSettings", kind: str) -> Path:
    """Named after space, data, kind of run and time."""
    data = Path(settings.data.replace(":", "-")).name or "data"
    return RUNS_FOLDER / f"{settings.space}-{data}-{kind}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"


def refuse_others(given: Given, allowed: tuple[str, ...]) -> None:
    """A resumed run has its settings already; others beside --resume would be ignored without a word.

    Args:
        given: options on the command line.
        allowed: options that a resumed run takes beside its own settings.

    Raises:
        ConfigError: another one.
    """
    others = sorted(f"--{name.replace('_', '-')}" for name in given.difference(allowed))
    if others:
        raise ConfigError(
            f"--resume: expected no other settings, since the run has its own, got {', '.join(others)}; "
            "leave them out, or start a new run with --out"
        )
