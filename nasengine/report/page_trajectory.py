"""Part of the page about the search: what was evaluated, one after the other, and the best so far."""

from dataclasses import dataclass
from typing import Any

from nasengine.protocols import SupernetSpace
from nasengine.report.chart_style import (
    BLUE,
    MAX_ROWS,
    QUIET,
    VERMILION,
    is_number,
    legend,
    new_chart,
    shown_of,
    whole_ticks,
)
from nasengine.report.html_elements import Html, table
from nasengine.report.inline_picture import picture, pictures
from nasengine.report.run_reading import RunContent


@dataclass(frozen=True)
class Evaluation:
    """An accuracy on validation images that was measured on the way.

    Args:
        where: the leaf, or the round of the race.
        genotype: None where the run does not say it.
        accuracy: a fraction.
        place: where it is drawn, from 1.
    """

    where: str
    genotype: str | None
    accuracy: float
    place: int


def trajectory(content: RunContent, _: SupernetSpace | None) -> Html | None:
    """Accuracies with shared weights, and the race of the finalists; None where nothing was measured."""
    figures = []
    paths = shared_evaluations(content)
    if paths:
        text = "Validation accuracy of architectures with weights shared in the supernet"
        figures.append(_chart("paths", paths, "architecture measured", text))
    race = finalist_evaluations(content)
    if race:
        text = (
            "Validation accuracy of the finalists, whose weights come from the supernets and were trained on; each "
            "round keeps the better half by validation loss"
        )
        figures.append(_chart("race", race, "round", text))
    return pictures(figures) if figures else None


def shared_evaluations(content: RunContent) -> list[Evaluation]:
    """Sampled paths, and neighbours of proposals that keep the limits of a device, in the order of the run."""
    found: list[tuple[str, Any, Any]] = []
    for event in content.events:
        metrics = event.get("metrics")
        if event["event"] == "step" and isinstance(metrics, dict) and str(event.get("task")).startswith("selection"):
            found.append(
                (str(event["task"]).removeprefix("selection-"), metrics.get("genotype"), metrics.get("accuracy"))
            )
        elif event["event"] == "limits" and isinstance(event.get("compared"), list):
            where = f"{event.get('network')}, within limits"
            found += [(where, row[0], row[1]) for row in event["compared"] if isinstance(row, list) and len(row) == 2]
    rows = [row for row in found if row[1] is not None and is_number(row[2])]
    return [Evaluation(where, str(text), float(value), place + 1) for place, (where, text, value) in enumerate(rows)]


def finalist_evaluations(content: RunContent) -> list[Evaluation]:
    """What successive halving measured, round after round."""
    rounds = [
        event["validation_accuracy"]
        for event in content.events
        if event["event"] == "round" and isinstance(event.get("validation_accuracy"), dict)
    ]
    measured = sorted({name for found in rounds for name in found}, key=lambda name: (len(name), name))
    leaves = (content.summary or {}).get("leaves") or []
    # The summary lists the finalists that were measured, in the order of their numbers.
    genotypes = {name: str(row["genotype"]) for name, row in zip(measured, leaves, strict=False)}
    return [
        Evaluation(f"round {number + 1}, finalist {name}", genotypes.get(name), float(value), number + 1)
        for number, found in enumerate(rounds)
        for name, value in found.items()
        if is_number(value)
    ]


def best_so_far(values: list[float]) -> list[float]:
    """The largest value up to each place.

    >>> best_so_far([0.2, 0.5, 0.4])
    [0.2, 0.5, 0.5]
    """
    found: list[float] = []
    for value in values:
        found.append(max(value, found[-1]) if found else value)
    return found


def _chart(name: str, every: list[Evaluation], x_label: str, text: str) -> Html:
    shown = every[:MAX_ROWS]
    best = best_so_far([entry.accuracy for entry in shown])
    figure, axis = new_chart(x_label, "validation accuracy")
    places = [entry.place for entry in shown]
    axis.plot(places, [entry.accuracy for entry in shown], "o", color=QUIET, markersize=4, label="measured")
    until = dict(zip(places, best, strict=True))
    if len(until) > 1:
        axis.step(list(until), list(until.values()), where="post", color=BLUE, linewidth=1.6, label="best so far")
    top = max(shown, key=lambda entry: entry.accuracy)
    axis.plot([top.place], [top.accuracy], "*", color=VERMILION, markersize=11, label="best")
    whole_ticks(axis, places)
    legend(axis)
    rows = [
        (number + 1, entry.where, entry.genotype, entry.accuracy, value)
        for number, (entry, value) in enumerate(zip(shown, best, strict=True))
    ]
    note = shown_of(len(shown), len(every), "measurements")
    said = f"{text}. The best of {len(every):,} is {max(entry.accuracy for entry in every):.4f}.{note}"
    header = ("number", "where", "architecture", "validation accuracy", "best so far")
    return picture(figure, name, said, table(header, rows, text))
