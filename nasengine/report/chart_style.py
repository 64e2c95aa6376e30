"""How charts of the page look: colours of Okabe and Ito, each with a marker and a line; never colour alone."""

import math
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any, TypeVar

from nasengine.report.cell_drawing import new_figure

Item = TypeVar("Item")
Number = int | float

SIZE = (4.8, 3.3)
"""In inches: as wide as a telephone shows without scrolling."""
INK, QUIET, GRID = "#1b1b1b", "#767676", "#d0d0d0"
BLUE, VERMILION, GREEN = "#0072b2", "#d55e00", "#009e73"
LOOKS = (
    (BLUE, "o", "-"), (VERMILION, "s", "--"), (GREEN, "^", "-."), ("#cc79a7", "D", ":"), ("#e69f00", "v", "-"),
    ("#56b4e9", "P", "--"), ("#000000", "X", "-."), ("#8c8200", "*", ":"),
)  # fmt: skip
"""Colour, marker and line of each series; the colours are Okabe and Ito's, the yellow darker, to be seen on white."""
MAX_SERIES, MAX_POINTS, MAX_ROWS = len(LOOKS), 120, 400
MAX_LABEL = 40
LARGE_RATIO = 5.0


def new_chart(x_label: str, y_label: str, size: tuple[float, float] = SIZE) -> tuple[Any, Any]:
    """A figure and its axes."""
    figure = new_figure(size)
    axis = figure.subplots()
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.grid(color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    return figure, axis


def draw_series(axis: Any, points: Sequence[tuple[Number, Number]], place: int, label: str) -> None:
    """A line with markers, in the looks of its place among the series."""
    colour, marker, line = LOOKS[place % len(LOOKS)]
    x, y = zip(*points, strict=True)
    every = max(1, len(points) // 12)
    axis.plot(
        x,
        y,
        color=colour,
        marker=marker,
        linestyle=line,
        markersize=4,
        linewidth=1.4,
        markevery=every,
        label=word(label),
    )


def whole_ticks(axis: Any, values: Sequence[Number]) -> None:
    """Numbers of epochs, rounds and the like are whole."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(set(values)) == 1:
        axis.set_xlim(values[0] - 0.5, values[0] + 0.5)


def scale_losses(axis: Any, values: Sequence[Number]) -> None:
    """Logarithmic where values differ by much; ticks are plain numbers, since formulas are switched off."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if max(values) < LARGE_RATIO * min(values):
        return
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def legend(axis: Any) -> None:
    """Names of the series, where nothing is hidden."""
    axis.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=8)


def word(text: Any) -> str:
    """A stranger's text as a label; it cannot be a formula, and is cut.

    >>> word("leaf0"), len(word("x" * 1000))
    ('leaf0', 40)
    """
    found = str(text)
    return found if len(found) <= MAX_LABEL else f"{found[: MAX_LABEL - 1]}\N{HORIZONTAL ELLIPSIS}"


def is_number(value: Any) -> bool:
    """Whether a value can be drawn.

    >>> is_number(0.5), is_number(True), is_number(float("nan")), is_number("1")
    (True, False, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many items, evenly spread, the first and the last among them.

    >>> spread(range(10), 4), spread([1, 2], 4)
    ([0, 3, 6, 9], [1, 2])
    """
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def shown_of(shown: int, every: int, what: str) -> str:
    """A sentence where not all is shown; empty where all is.

    >>> shown_of(400, 1000, "evaluations"), shown_of(3, 3, "evaluations")
    (' The first 400 of 1,000 evaluations are shown.', '')
    """
    return "" if shown >= every else f" The first {shown:,} of {every:,} {what} are shown."


def names_of_looks(count: int) -> list[tuple[str, str, str]]:
    """Looks of so many series; they repeat when there are more than there are looks."""
    return list(islice(cycle(LOOKS), count))
