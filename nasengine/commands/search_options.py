"""Options of ``nasengine search``."""

from dataclasses import dataclass
from typing import Annotated

import typer

from nasengine.commands.options import (
    DataOption,
    DeviceOption,
    NewRunOption,
    ResumeOption,
    SeedOption,
    TargetOption,
    WorkersOption,
)
from nasengine.report.console import Json

TrainingOption = Annotated[
    str | None,
    typer.Option(
        help="Supernet training: fixed, darts, darts-second-order, snas, beta-darts, drnas, proxyless or single-path; "
        "sandwich or shrinking where the supernet is elastic.",
        show_default="fixed; sandwich for elastic",
    ),
]
SelectionOption = Annotated[
    str | None,
    typer.Option(
        help="perturbation, magnitude or sampled-paths.",
        show_default="perturbation; sampled-paths for single-path and elastic",
    ),
]
StrategyOption = Annotated[
    str | None,
    typer.Option(help="Proposes paths for sampled-paths.", show_default="random; regularized_evolution for elastic"),
]
FineTuneOption = Annotated[
    bool,
    typer.Option("--fine-tune/--from-scratch", help="Networks of an elastic supernet inherit its weights, or do not."),
]
AlsoMacsOption = Annotated[
    str,
    typer.Option(
        help="Further limits on multiply-accumulates, such as 5M,10M: a network for each, from one elastic supernet."
    ),
]
PredictorOption = Annotated[
    str | None, typer.Option(help="Ranks architectures before any training: gennape, or a file.", show_default="none")
]
SplitsOption = Annotated[
    int | None,
    typer.Option(
        help="Levels at which the supernet is split where its candidates disagree; 0 for one supernet.",
        show_default="the budget's",
    ),
]
SplitByOption = Annotated[str, typer.Option(help="gradient-matching, or to compare with: random or exhaustive.")]
RestartOption = Annotated[
    bool, typer.Option("--restart/--inherit", help="Leaves begin with new weights, or with those of the supernet.")
]
PresetOption = Annotated[
    str | None, typer.Option(help="A published schedule of splits: nasbench201, nasbench201-single-path or darts.")
]
BudgetOption = Annotated[
    str, typer.Option(help="quick (under a minute), standard (minutes), full (the paper's setting).")
]
DepthsOption = Annotated[
    str, typer.Option(help="End with the winner at these depths, with commas; see 'nasengine init'.")
]
TensorboardOption = Annotated[
    bool, typer.Option("--tensorboard", help="Write TensorBoard's event files to the run folder, too.")
]


@dataclass(frozen=True)
class SearchOptions:
    """What a user says on the command line; what is usual depends on the space."""

    space: Annotated[str, typer.Option(help="Search space; see 'nasengine spaces'.")] = "darts"
    data: DataOption = "digits"
    budget: BudgetOption = "standard"
    seed: SeedOption = 0
    training: TrainingOption = None
    selection: SelectionOption = None
    strategy: StrategyOption = None
    fine_tune: FineTuneOption = True
    also_macs: AlsoMacsOption = ""
    predictor: PredictorOption = None
    pool: Annotated[int, typer.Option(help="Architectures that the predictor ranks.")] = 400
    splits: SplitsOption = None
    ways: Annotated[int, typer.Option(help="Parts at each split.")] = 2
    split_by: SplitByOption = "gradient-matching"
    restart_leaves: RestartOption = True
    preset: PresetOption = None
    depths: DepthsOption = ""
    sizes: Annotated[str, typer.Option(help="Or in these sizes: small, medium, large.")] = ""
    target: TargetOption = None
    max_latency_ms: Annotated[float | None, typer.Option(help="Limit on the device's latency.")] = None
    max_bytes: Annotated[str, typer.Option(help="Limit on the ONNX file, such as 900KB or 1MB.")] = ""
    max_peak_bytes: Annotated[str, typer.Option(help="Limit on memory of activations, such as 256KiB.")] = ""
    max_macs: Annotated[str, typer.Option(help="Limit on multiply-accumulates, such as 20M.")] = ""
    max_parameters: Annotated[str, typer.Option(help="Limit on parameters, such as 100K.")] = ""
    device: DeviceOption = "auto"
    learning_rate: Annotated[float | None, typer.Option(help="Override the budget's learning rates.")] = None
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 for training on a GPU.")] = "float32"
    compiled: Annotated[bool, typer.Option("--compile", help="Compile networks with torch.compile.")] = False
    workers: WorkersOption = None
    tensorboard: TensorboardOption = False
    out: NewRunOption = None
    resume: ResumeOption = None
    as_json: Json = False
