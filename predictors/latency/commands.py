"""``nasengine target fit``: a latency predictor from measurements on a device."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.errors import ConfigError
from nasengine.report.console import Json, finish, print_table

if TYPE_CHECKING:
    from predictors.latency.measurements import Measurements

SUFFIX = ".safetensors"


def fit_latency(
    table: Annotated[Path, typer.Argument(help="Measurements: .csv or .csv.gz, a network and its latency a line.")],
    out: Annotated[Path, typer.Option(help="File to write, .safetensors; there must be none.")],
    space: Annotated[str | None, typer.Option(help="Search space of genotypes; not needed for ONNX files.")] = None,
    network: Annotated[str, typer.Option(help="Column with genotypes or paths of ONNX files.")] = "arch",
    column: Annotated[
        str, typer.Option(help="Column with milliseconds; negative where a network does not run.")
    ] = "latency_ms",
    labels: Annotated[
        int | None, typer.Option(min=20, help="Learn from so many random lines; the others test it.")
    ] = None,
    device: Annotated[str, typer.Option(help="What was measured, for the file.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of lines.")] = 0,
    as_json: Json = False,
) -> None:
    """Learn how long networks take on a device from about a hundred that were measured there."""

    def work() -> dict[str, Any]:
        from predictors.fitting import refuse_existing
        from predictors.latency.measurements import read_measurements
        from predictors.network_reading import network_reader

        if out.suffix != SUFFIX:
            raise ConfigError(f"--out {out}: expected a name that ends in {SUFFIX}, by which a target finds its reader")
        refuse_existing(out)
        known = read_measurements(table, network, column, network_reader(space, table.parent))
        about = {"device": device, "table": table.name, "column": column, "space": space, "seed": seed}
        return _fit(known, out, labels, about)

    finish(work, lambda content: print_table(("", "latency predictor"), [
        (name.replace("_", " "), str(value)) for name, value in content.items()
    ]), as_json)  # fmt: skip


def _fit(known: "Measurements", out: Path, labels: int | None, about: dict[str, Any]) -> dict[str, Any]:
    import numpy

    from predictors.latency.evaluation import LatencyErrors
    from predictors.latency.latency_predictor import LatencyPredictor

    order = numpy.random.default_rng(about["seed"]).permutation(len(known.graphs)).tolist()
    chosen, others = order[:labels], [] if labels is None else order[labels:]
    values = numpy.array(known.milliseconds)
    predictor = LatencyPredictor()
    predictor.fit([known.graphs[index] for index in chosen], values[chosen].tolist())
    figures: dict[str, Any] = {"labels": len(chosen), "labels_that_run": predictor.num_labels}
    if others:
        prediction = predictor.predict([known.graphs[index] for index in others])
        figures |= LatencyErrors.of(prediction, values[others]).rounded()
    predictor.about = {**about, **figures}
    predictor.save(out)
    return {"file": str(out), "bytes": out.stat().st_size, **figures}
