"""Options of ``nasengine init``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from nasengine.commands.options import WorkersOption
from nasengine.report.console import Json

DepthsOption = Annotated[
    str, typer.Option(help="Cells (in each stage, for nasbench201), with commas.", show_default="the winner's")
]
WidthsOption = Annotated[
    str, typer.Option(help="Channels of the first cells, with commas.", show_default="the winner's")
]
EpochsOption = Annotated[
    int | None, typer.Option(help="Of the network whose stages share weights.", show_default="the run's")
]
TuningEpochsOption = Annotated[int | None, typer.Option(help="Of each size.", show_default="a tenth of the run's")]
ElasticOption = Annotated[
    bool, typer.Option("--elastic/--one-depth", help="Share weights over all depths, or at the largest alone.")
]
DepthRuleOption = Annotated[
    str, typer.Option(help="Cells of a size are dealt to stages: even, or in the ratios of the largest.")
]
LearngeneOption = Annotated[
    Path | None, typer.Option(help="Begin with this one, made from the same genotype.", show_default="a new one")
]
TeacherDepthOption = Annotated[
    int | None, typer.Option(help="First train a network of this depth to learn from.", show_default="the winner")
]
TeacherWidthOption = Annotated[
    int | None, typer.Option(help="Or of this width, or of both.", show_default="the winner")
]


@dataclass(frozen=True)
class InitOptions:
    """What a user says on the command line."""

    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")]
    depths: DepthsOption = ""
    widths: WidthsOption = ""
    sizes: Annotated[str, typer.Option(help="Or sizes: small, medium, large, with commas.")] = ""
    epochs: EpochsOption = None
    tuning_epochs: TuningEpochsOption = None
    distillation_weight: Annotated[float, typer.Option(help="Share of the winner's answers in the loss.")] = 0.9
    temperature: Annotated[float, typer.Option(help="Softens these answers.")] = 2.0
    elastic: ElasticOption = True
    stages: Annotated[str, typer.Option(help="Stages of each run of equal cells, or all their sizes.")] = "1"
    depth_rule: DepthRuleOption = "even"
    tuning_rate: Annotated[float, typer.Option(help="Learning rate of sizes, as a share of the run's.")] = 0.2
    rescale: Annotated[bool, typer.Option(help="Scale residual updates by the number of repeats.")] = False
    learngene: LearngeneOption = None
    teacher_depth: TeacherDepthOption = None
    teacher_width: TeacherWidthOption = None
    compare: Annotated[bool, typer.Option(help="Train each size from scratch for as many epochs, too.")] = True
    workers: WorkersOption = None
    out: Annotated[Path | None, typer.Option(help="Folder; goes on there.", show_default="RUN/family")] = None
    as_json: Json = False
