"""The command line: parses, finds parts by name, shows progress, prints. No algorithm lives here.

torch and everything that needs it are imported inside the commands, so that ``nasengine --help`` answers at once.
"""

import sys

import typer

from benchmarks.commands import app as bench
from export.commands import export
from export.profile_command import profile
from export.target_commands import app as target
from nasengine.commands.describe import describe
from nasengine.commands.init import init
from nasengine.commands.listings import runs, spaces
from nasengine.commands.nni import nni
from nasengine.commands.report import report
from nasengine.commands.search import search
from nasengine.commands.ui import ui
from nasengine.report.console import EXIT_BAD_INPUT, EXIT_INTERRUPTED
from predictors.commands import app as predictor
from predictors.commands import score
from predictors.latency.commands import fit_latency

app = typer.Typer(
    help="Neural architecture search: from your images to a trained network and a checked ONNX file.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(bench, name="bench")
app.add_typer(predictor, name="predictor")
target.command()(profile)
target.command(name="fit")(fit_latency)
app.add_typer(target, name="target")
app.command()(score)
app.command()(init)
app.command()(export)
app.command()(report)
app.command()(ui)
app.command()(nni)
app.command()(search)
app.command()(spaces)
app.command()(describe)
app.command()(runs)


def main() -> None:
    """Entry point of the ``nasengine`` command."""
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        sys.exit(app(standalone_mode=False))
    except typer.Abort:
        sys.stderr.write("interrupted\n")
        sys.exit(EXIT_INTERRUPTED)
    except typer.TyperException as fault:  # an unknown command or option, or a value of the wrong type
        message = " ".join(fault.format_message().split()).rstrip(".")
        sys.stderr.write(f"nasengine: {message}; see nasengine --help\n")
        sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    main()
