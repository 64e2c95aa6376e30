"""Part of the page about exported files, and what was checked on them."""

from typing import Any

from nasengine.protocols import SupernetSpace
from nasengine.report.chart_style import MAX_ROWS
from nasengine.report.html_elements import Html, facts, joined, table
from nasengine.report.run_reading import RunContent

MILLISECONDS = ("p50_ms", "p95_ms")


def exports(content: RunContent, _: SupernetSpace | None) -> Html | None:
    """Files of the run and of its export folder; None where nothing was exported."""
    parts = []
    files = [event["onnx"] for event in content.events if event["event"] == "export" and "onnx" in event][-1:]
    if files:
        rows = [
            (found.get("path"), found.get("opset"), found["max_deviation"], f"{found['top1_agreement']:.2%}",
             found.get("num_images"), found.get("sha256"))
            for found in files
        ]  # fmt: skip
        header = ("file", "operator set", "largest deviation from torch", "same class", "images", "sha256")
        parts.append(table(header, rows, "The winner's ONNX file, compared with the trained network on test images"))
    if content.card is not None:
        parts += _bundle(content.card)
    return joined(parts) if parts else None


def _bundle(card: dict[str, Any]) -> list[Html]:
    """The export folder, as its card has it."""
    rows = [_file(row) for row in card["files"][:MAX_ROWS]]
    header = (
        "file", "data type", "bytes", "test accuracy", "same class as float32", "median, ms", "95 % below, ms", "how",
    )  # fmt: skip
    target = card.get("target") or {}
    predicted = target.get("predicted") or {}
    measured: dict[str, Any] = next((row["latency"] for row in card["files"] if row.get("latency")), {})
    named = facts([
        ("latency measured on", measured.get("cpu")),
        ("for the device", target.get("title")),
        ("latency predicted there", f"{predicted['latency_ms']:.3f} ms, {predicted.get('by')}" if predicted else None),
        ("licence of the weights", card.get("licence")),
    ])  # fmt: skip
    parts = [table(header, rows, "Export folder: files and their checks, each run in onnxruntime"), named]
    limits = [(row["name"], row["value"], row["limit"]) for row in target.get("limits", [])]
    if limits:
        parts.append(table(("limit on", "exported network", "limit"), limits, "Limits that the exported files keep"))
    return parts


def _file(row: dict[str, Any]) -> tuple[Any, ...]:
    latency = row.get("latency") or {}
    return (
        row["name"], row["data_type"], row["size_bytes"], row["test_accuracy"], f"{row['top1_agreement']:.2%}",
        *(latency.get(name) for name in MILLISECONDS), row.get("method"),
    )  # fmt: skip
