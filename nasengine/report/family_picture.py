"""Accuracy against size of a family: what is inherited, and the same networks from scratch."""

from itertools import cycle
from pathlib import Path
from typing import Any

from nasengine.report.cell_drawing import new_figure, write_figure

SERIES = {
    "test_accuracy": ("tuned", "#0072b2", "o"),
    "untuned_accuracy": ("inherited, untuned", "#56b4e9", "s"),
    "scratch_test_accuracy": ("from scratch, as many epochs", "#d55e00", "^"),
}
"""Colours that colour-blind people can tell apart, and a shape each."""
LINES = ("-", "--", "-.", ":")
"""One for each width."""


def draw_family(summary: dict[str, Any], path: Path) -> None:
    """Write the picture of a finished family.

    Args:
        summary: outcome of ``Family.run``.
        path: file to write; its ending gives the type.
    """
    write_figure(family_figure(summary), path)


def family_figure(summary: dict[str, Any], size: tuple[float, float] = (8.0, 5.0)) -> Any:
    """The same as a figure.

    Args:
        summary: outcome of ``Family.run``.
        size: in inches.
    """
    figure = new_figure(size)
    axis = figure.subplots()
    for width, line in zip(sorted({row["width"] for row in summary["members"]}), cycle(LINES), strict=False):
        rows = sorted((row for row in summary["members"] if row["width"] == width), key=lambda row: row["depth"])
        for name, (label, colour, marker) in SERIES.items():
            points = [(row["num_parameters"], row[name]) for row in rows if name in row]
            if points:
                axis.plot(
                    *zip(*points, strict=True),
                    color=colour,
                    marker=marker,
                    linestyle=line,
                    label=f"{label}, width {width}",
                )
        for row in rows:
            place = (row["num_parameters"], row["test_accuracy"])
            axis.annotate(f"{row['depth']}", place, xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
    ancestor = summary["lineage"]["test_accuracy"]
    axis.axhline(ancestor, color="#7f7f7f", linestyle=":", label="the winner that it comes from")
    axis.set_xlabel("parameters (numbers: depth)")
    axis.set_ylabel("test accuracy")
    axis.legend(fontsize=8)
    learngene, settings = summary["learngene"], summary["settings"]
    shared = "" if settings["learngene"] else f"{settings['epochs']} + "
    axis.set_title(
        f"Family of {len(summary['members'])}: {learngene['ratio']:.1f} times smaller to store, "
        f"{shared}{len(summary['members'])} x {settings['tuning_epochs']} epochs",
        fontsize=10,
    )
    return figure
