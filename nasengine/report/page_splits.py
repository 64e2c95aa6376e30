"""Part of the page about splits: where candidates disagree, the groups that came of it, and how the leaves did."""

from typing import Any

from nasengine.protocols import SupernetSpace
from nasengine.report.cell_drawing import new_figure
from nasengine.report.chart_style import BLUE, INK, MAX_ROWS, VERMILION, legend, new_chart, shown_of
from nasengine.report.html_elements import Html, element, joined, table
from nasengine.report.inline_picture import picture, pictures
from nasengine.report.run_reading import RunContent
from nasengine.report.split_drawing import draw_matrix, titles

MAX_MATRICES = 15
MAX_LEAVES = 40


def splits(content: RunContent, space: SupernetSpace | None) -> Html | None:
    """Matrices of gradient matching, groups and leaves; None where nothing was split."""
    edges = () if space is None else space.topology.edges
    every = titles(_levels(content), edges)
    summary = content.summary or {}
    if not every and not summary.get("leaves"):
        return None
    shown = every[:MAX_MATRICES]
    figures = [_matrix(place, title.replace("\n", "; "), part) for place, (title, part) in enumerate(shown)
               if "distance" in part]  # fmt: skip
    parts = [pictures(figures)] if figures else []
    if shown:
        rows = [
            (title.split("\n")[0], " | ".join(", ".join(group) for group in part["groups"])) for title, part in every
        ]
        note = shown_of(len(shown), len(every), "matrices").strip()
        parts.append(table(("split", "groups"), rows[:MAX_ROWS], f"Every split and its groups. {note}".rstrip()))
    if summary.get("leaves"):
        parts.append(_leaves(summary))
    failed = summary.get("failed_leaves") or {}
    parts += [element("p", f"Leaf {leaf} failed: {reason}", class_="fault") for leaf, reason in failed.items()]
    return joined(parts)


def _levels(content: RunContent) -> list[dict[str, Any]]:
    """Levels of the summary, or of the journal while there is none."""
    if content.summary is not None:
        return content.summary.get("splits") or []
    found = [event["metrics"]["splits"] for event in content.steps
             if event["task"] == "supernet" and "splits" in event["metrics"]]  # fmt: skip
    return [{"level": level, "parts": parts} for level, parts in enumerate(found)]


def _matrix(place: int, title: str, part: dict[str, Any]) -> Html:
    names = part["candidates"]
    figure = new_figure((4.8, 4.0))
    draw_matrix(figure.subplots(), part, "", font_size=8.0)
    rows = [
        (first, second, part["distance"][row][column], _is_together(part["groups"], first, second))
        for row, first in enumerate(names)
        for column, second in enumerate(names)
        if row < column
    ][:MAX_ROWS]
    text = (
        f"Gradient matching, {title}: one minus the cosine of the gradients of shared weights under two candidates; "
        "red lines part the groups; rows and columns are in the same order"
    )
    header = ("candidate", "other candidate", "distance", "in one group")
    return picture(figure, f"matrix{place}", f"{text}.", table(header, rows, f"Gradient matching, {title}"))


def _is_together(groups: list[list[str]], first: str, second: str) -> bool:
    return any(first in group and second in group for group in groups)


def _leaves(summary: dict[str, Any]) -> Html:
    """Validation decides; test accuracies are an oracle's view."""
    every = summary["leaves"]
    rows = every[:MAX_LEAVES]
    figure, axis = new_chart("accuracy", "", (4.8, 1.6 + 0.27 * len(rows)))
    winner = summary["winner"]["genotype"]
    axis.plot(
        [row["validation_accuracy"] for row in rows], range(len(rows)), "o", color=BLUE, label="validation (decides)"
    )
    axis.plot([row["oracle_test_accuracy"] for row in rows], range(len(rows)), "D", markerfacecolor="none",
              color=VERMILION, label="test (oracle)")  # fmt: skip
    axis.set_yticks(range(len(rows)), [_name(row, winner) for row in rows], fontsize=8, color=INK)
    axis.set_ylim(-0.6, len(rows) + 0.9)
    legend(axis)
    text = (
        "Finalists when they left the race, with weights that come from the supernets and were trained on for some "
        "epochs; test accuracies decide nothing"
    )
    header = ("finalist", "architecture", "rounds", "validation accuracy", "validation loss", "test accuracy (oracle)")
    found = [
        (_name(row, winner), row["genotype"], row.get("rounds"), row["validation_accuracy"], row.get("validation_loss"),
         row["oracle_test_accuracy"])
        for row in rows
    ]  # fmt: skip
    note = shown_of(len(rows), len(every), "finalists")
    return picture(figure, "leaves", f"{text}.{note}", table(header, found, "Finalists when they left the race"))


def _name(row: dict[str, Any], winner: str) -> str:
    chosen = " (winner)" if row["genotype"] == winner else ""
    return f"leaf {row['leaf']}{', predicted' if row.get('is_predicted') else ''}{chosen}"
