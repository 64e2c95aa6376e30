"""Options of ``nasengine nni``."""

from dataclasses import dataclass
from typing import Annotated

import typer

from nasengine.commands.options import DataOption, DeviceOption, NewRunOption, ResumeOption, SeedOption, TargetOption
from nasengine.report.console import Json

StrategyOption = Annotated[str | None, typer.Option(help="Proposes architectures.", show_default="predictor_guided")]
TunerOption = Annotated[
    str | None, typer.Option(help="One of NNI's own instead: TPE, Evolution or Random.", show_default="none")
]
TrialsOption = Annotated[
    int | None, typer.Option(help="Trials, failed ones included; with --resume, more.", show_default="50")
]
TableOption = Annotated[
    str | None, typer.Option(help="CSV of accuracies to look up instead of training.", show_default="none")
]
ColumnOption = Annotated[str | None, typer.Option(help="Column of the table.", show_default="of full training")]
EpochsOption = Annotated[
    int | None, typer.Option(help="That a trial trains.", show_default="as finalists of the budget")
]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Of the page, on 127.0.0.1; 0 takes a free one.")]
TrainOption = Annotated[
    bool, typer.Option("--train/--no-train", help="Train, test and export the winner after the trials.")
]


@dataclass(frozen=True)
class NniOptions:
    """What a user says on the command line."""

    space: Annotated[str, typer.Option(help="Search space; see 'nasengine spaces'.")] = "darts"
    strategy: StrategyOption = None
    tuner: TunerOption = None
    trials: TrialsOption = None
    concurrency: Annotated[int, typer.Option(help="Trials at a time.")] = 1
    table: TableOption = None
    column: ColumnOption = None
    epochs: EpochsOption = None
    stop_early: Annotated[bool, typer.Option("--stop-early", help="End trials below the median of others.")] = False
    max_seconds: Annotated[float | None, typer.Option(help="Limit of a trial.", show_default="none")] = None
    data: DataOption = "digits"
    budget: Annotated[str, typer.Option(help="quick, standard or full.")] = "standard"
    seed: SeedOption = 0
    target: TargetOption = None
    device: DeviceOption = "auto"
    port: PortOption = 8080
    train: TrainOption = True
    out: NewRunOption = None
    resume: ResumeOption = None
    as_json: Json = False
