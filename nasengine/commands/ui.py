"""``nasengine ui``: NNI's web page on a run, also while it goes on."""

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.errors import ConfigError, StoreError
from nasengine.report.console import finish

if TYPE_CHECKING:
    from nasengine.integrations.nni import ExperimentDatabase, RecordedRun, View

FOLLOW_SECONDS = 1.0
MIN_REST = 10  # times as long as reading took, since the run needs the processor more
ENDING = ("SIGTERM", "SIGHUP")  # the latter when a terminal or an ssh connection is closed


def ui(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 takes a free one.")] = 8080,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in your browser, too.")] = False,
) -> None:
    """Show a run in NNI's web page until Ctrl-C; a run that goes on is followed."""

    def work() -> dict[str, Any]:
        from nasengine.integrations.nni import ExperimentDatabase, opened

        recorded = _recorded(run)
        recording = recorded.read()
        if recording is None or not recording.trials:
            raise StoreError(
                f"run folder {run}: expected a run that has evaluated an architecture, got one that has not yet; "
                "try again later"
            )
        with tempfile.TemporaryDirectory(prefix="nasengine-ui-") as home:
            database = ExperimentDatabase(Path(home), recording.name)
            try:
                database.write(recording)
                with opened(database, recording, port) as view:
                    _announce(view, len(recording.trials), open_page)
                    _follow(recorded, database, view)
            finally:
                database.close()
        return {}

    def until_stopped() -> dict[str, Any]:
        with ended_by_signals():
            try:
                return work()
            except KeyboardInterrupt:  # the way to end it, so that it is no failure
                sys.stderr.write("stopped\n")
                return {}

    finish(until_stopped, lambda content: None, as_json=False)


def _recorded(run: Path) -> "RecordedRun":
    """The run in a folder.

    Raises:
        StoreError: no run of a search.
    """
    from nasengine import registry
    from nasengine.assembly import settings_of
    from nasengine.integrations.nni import RecordedRun
    from nasengine.protocols import ElasticSpace, SupernetSpace

    try:
        settings = settings_of(run)
    except ConfigError as fault:
        raise StoreError(f"run folder {run}: expected a run of 'nasengine search', got another: {fault}") from fault
    space = registry.load("search space", settings.space)
    if not isinstance(space, SupernetSpace | ElasticSpace):
        raise ConfigError(f"run folder {run}: expected a search space that can be searched, got {settings.space!r}")
    return RecordedRun(run, space, settings)


def _announce(view: "View", num_trials: int, open_page: bool) -> None:
    sys.stdout.write(f"{num_trials} trials: {view.url}\nreachable from this machine alone; Ctrl-C ends it\n")
    sys.stdout.flush()
    if not open_page:
        return
    import webbrowser

    if not webbrowser.open(view.url):
        sys.stderr.write("no browser was found; open the address yourself\n")


def _follow(recorded: "RecordedRun", database: "ExperimentDatabase", view: "View") -> None:
    """Bring the page up to date until something ends it."""
    pause = FOLLOW_SECONDS
    while True:
        time.sleep(pause)
        view.check()
        begin = time.monotonic()
        recording = recorded.read()
        if recording is not None:
            database.write(recording)
        pause = max(FOLLOW_SECONDS, MIN_REST * (time.monotonic() - begin))


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Inside, other ends than Ctrl-C are as orderly as it is; a second one does not disturb the first."""
    numbers = [signal.SIGINT, *(getattr(signal, name) for name in ENDING if hasattr(signal, name))]
    before = {number: signal.getsignal(number) for number in numbers}
    numbers = [number for number in numbers if number == signal.SIGINT or before[number] != signal.SIG_IGN]  # nohup

    def end(number: int, frame: object) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        for number in numbers:
            signal.signal(number, end)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
