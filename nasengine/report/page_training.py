"""Part of the page about training: losses of supernets, of the finalists and of the final networks."""

from typing import Any

from nasengine.protocols import SupernetSpace
from nasengine.report.chart_style import (
    MAX_POINTS,
    MAX_SERIES,
    draw_series,
    is_number,
    legend,
    new_chart,
    scale_losses,
    shown_of,
    spread,
    whole_ticks,
)
from nasengine.report.html_elements import Html, table
from nasengine.report.inline_picture import picture, pictures
from nasengine.report.run_reading import RunContent

FINAL = ("winner", "random_baseline")
Series = dict[str, list[tuple[int, dict[str, Any]]]]


def training(content: RunContent, _: SupernetSpace | None) -> Html | None:
    """Losses over epochs, a chart for each kind of network."""
    supernets, finalists, final = _series(content)
    charts = [
        (
            "supernet",
            supernets,
            "Training loss of the supernet and of its leaves, whose weights all architectures share",
        ),
        ("finalists", finalists, "Training loss of the finalists, which go on with shared weights"),
        ("final", final, "Training loss of the winner and of a random architecture, both from scratch"),
    ]
    figures = [_losses(name, found, text) for name, found, text in charts if found]
    return pictures(figures) if figures else None


def _series(content: RunContent) -> tuple[Series, Series, Series]:
    """Epochs by network, numbered from 1: supernets, finalists, final networks."""
    supernets: Series = {}
    finalists: Series = {}
    final: Series = {}
    for event in content.steps:
        task, metrics = event["task"], event["metrics"]
        if task.startswith("selection") or not is_number(metrics.get("loss")) or metrics["loss"] <= 0:
            continue
        if task.startswith("finalist"):
            rows = finalists.setdefault(f"finalist {metrics.get('network')}", [])
        else:
            rows = (final if task in FINAL else supernets).setdefault(task.replace("_", " "), [])
        rows.append((len(rows) + 1, metrics))
    return supernets, finalists, final


def _order(entry: tuple[str, Any]) -> tuple[bool, int, str]:
    """The whole supernet before its leaves, which workers finish in any order."""
    name = entry[0]
    return name.startswith("leaf"), len(name), name


def _losses(name: str, series: Series, text: str) -> Html:
    figure, axis = new_chart("epoch", "training loss")
    rows: list[tuple[Any, ...]] = []
    for place, (network, epochs) in enumerate(sorted(series.items(), key=_order)[:MAX_SERIES]):
        shown = spread(epochs, MAX_POINTS)
        draw_series(axis, [(epoch, metrics["loss"]) for epoch, metrics in shown], place, network)
        rows += [
            (network, epoch, metrics["loss"], metrics.get("train_accuracy"), metrics.get("learning_rate"))
            for epoch, metrics in shown
        ]
    scale_losses(axis, [row[2] for row in rows])
    whole_ticks(axis, [row[1] for row in rows])
    legend(axis)
    longest = max(len(epochs) for epochs in series.values())
    note = shown_of(MAX_SERIES, len(series), "networks")
    note += f" Epochs are shown at most {MAX_POINTS} a network, evenly spread." if longest > MAX_POINTS else ""
    header = ("network", "epoch", "loss", "training accuracy", "learning rate")
    if longest == 1:  # a line needs two points
        return table(header, rows, f"{text}, for one epoch.{note}")
    return picture(figure, f"loss{name}", f"{text}.{note}", table(header, rows, text))
