"""``nasengine export``: from a finished run to files that are ready for a device."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.errors import ConfigError
from nasengine.report.console import Json, finish, print_table
from nasengine.report.tables import Rows, Table, export_table

if TYPE_CHECKING:
    from export.bundle import Choices
    from nasengine.pipeline import Search
    from nasengine.store import RunStore
    from nasengine.targets.target import DataType

FOLDER = "export"
EXPORTERS = {".onnx": "onnx", ".ort": "ort", ".xml": "openvino", ".pte": "executorch", ".tflite": "litert"}
"""By the suffix of a single file."""


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    target: Annotated[
        str | None, typer.Option(help="Device: a name, or a TOML file; see 'nasengine target list'.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Also a file in eight bits.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Also a file in half precision.")] = False,
    qat: Annotated[int, typer.Option(min=0, help="Train so many epochs with eight bits in the loop, for --int8.")] = 0,
    static: Annotated[bool, typer.Option("--static", help="Files take one image at a time.")] = False,
    licence: Annotated[str, typer.Option(help="Of the weights, for the card.")] = "not stated",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder, or one file: .onnx, .ort, .xml (OpenVINO), .pte or .tflite.", show_default="RUN/export"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Export the winner of a run: files for the runtime, checked on test images, with card, labels and a script."""

    def work() -> dict[str, Any]:
        from export.bundle import Choices
        from nasengine.assembly import assemble, settings_of
        from nasengine.report.progress import make_progress
        from nasengine.store import RunStore
        from nasengine.targets import load_target

        types: tuple[DataType, ...] = (*(("int8",) if int8 else ()), *(("float16",) if fp16 else ()))
        device = None if target is None else load_target(target)
        choices = Choices(device, types, qat, static, " ".join(licence.split()) or "not stated")
        search = assemble(settings_of(run), make_progress())
        store = RunStore.open(run)
        try:
            if out is not None and out.suffix in EXPORTERS:
                return _one_file(search, store, out, choices)
            return _bundle(search, store, run / FOLDER if out is None else out, choices)
        finally:
            store.close()

    finish(work, _show, as_json)


def _one_file(search: "Search", store: "RunStore", path: Path, choices: "Choices") -> dict[str, Any]:
    from nasengine import registry

    if choices.target is not None or choices.data_types or choices.tuning_epochs or choices.is_static:
        raise ConfigError(
            f"--out {path}: expected a folder together with --target, --int8, --fp16, --qat or --static, got the name "
            f"of one file; leave off {path.suffix}"
        )
    exporter = registry.load("exporter", EXPORTERS[path.suffix])
    return {"onnx": search.export(search.trained_winner(store), path, exporter)}


def _bundle(search: "Search", store: "RunStore", folder: Path, choices: "Choices") -> dict[str, Any]:
    from dataclasses import replace

    from export.bundle import write_bundle
    from export.predicted_latency import predicted_latency
    from export.winner import winner_of

    winner = winner_of(search, store)
    predicted = predicted_latency(choices.target, winner.network.graph)
    card = write_bundle(folder, winner, replace(choices, predicted=predicted))
    return {"folder": str(folder), **card.model_dump(mode="json"), "notes": list(card.notes)}


def _show(content: dict[str, Any]) -> None:
    if "onnx" in content:
        print_table(*export_table(content))
        return
    print_table(*_table(content))
    sys.stdout.writelines(f"{note}\n" for note in content["notes"])


def _table(content: dict[str, Any]) -> Table:
    rows: Rows = [
        (
            file["name"], f"{file['size_bytes']:,}", f"{file['test_accuracy']:.4f}",
            f"{file['latency']['p50_ms']:.3f}", f"{file['latency']['p95_ms']:.3f}",
        )
        for file in content["files"]
    ]  # fmt: skip
    return (str(content["folder"]), "bytes", "test accuracy", "median ms, here", "95 % ms, here"), rows
