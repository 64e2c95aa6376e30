"""Part of the page about architecture weights: how much of each candidate is in the mixture of its edge, over time."""

from typing import Any

from nasengine.protocols import SupernetSpace
from nasengine.report.cell_drawing import new_figure
from nasengine.report.chart_style import GRID, is_number, names_of_looks, shown_of, spread, whole_ticks, word
from nasengine.report.html_elements import Html, element, joined, table
from nasengine.report.inline_picture import picture
from nasengine.report.run_reading import Event, RunContent

MAX_EPOCHS, MAX_EDGES, MAX_PICTURES, COLUMNS = 20, 28, 6, 2
Rows = list[list[float]]


def weights(content: RunContent, space: SupernetSpace | None) -> Html | None:
    """A chart for each supernet and kind of cell whose architecture weights were trained; None where none were."""
    found: dict[tuple[str, str], list[tuple[int, Rows]]] = {}
    for event in content.steps:
        for kind, rows in _weights_of(event).items():
            key = (event["task"].removeprefix("selection-").replace("selection", "supernet"), str(kind))
            known = found.setdefault(key, [])
            # A selection by these weights repeats those after the last epoch.
            if not (known and event["task"].startswith("selection")):
                known.append((len(known) + 1, rows))
    if not found:
        return None
    shown = sorted(found.items(), key=lambda entry: (entry[0][0] != "supernet", len(entry[0][0]), entry[0]))[
        :MAX_PICTURES
    ]
    figures = [_chart(place, key, epochs, space) for place, (key, epochs) in enumerate(shown)]
    note = shown_of(len(shown), len(found), "charts").strip()
    return joined([*figures, element("p", note, class_="quiet")] if note else figures)


def _weights_of(event: Event) -> dict[str, Rows]:
    rows = event["metrics"].get("weights")
    return rows if isinstance(rows, dict) else {}


def _chart(place: int, key: tuple[str, str], epochs: list[tuple[int, Rows]], space: SupernetSpace | None) -> Html:
    (network, kind), shown = key, spread(epochs, MAX_EPOCHS)
    edges, operations = _names(kind, epochs[0][1], space)
    picked = list(range(min(len(edges), MAX_EDGES)))
    rows = [
        (edges[edge], number, *(_value(rows, edge, pick) for pick in range(len(operations))))
        for edge in picked
        for number, rows in shown
    ]
    text = f"Share of each candidate in the mixture of its edge, {network}, {kind}"
    text += "" if kind.endswith("cell") else " cell"
    note = f" {len(shown)} of {len(epochs)} epochs are shown, evenly spread." if len(shown) < len(epochs) else ""
    note += shown_of(len(picked), len(edges), "edges")
    numbers = table(("edge", "epoch", *operations), rows, f"{text}.{note}")
    if len(shown) == 1:  # nothing changes over a single epoch
        return numbers
    figure = _panels([edges[edge] for edge in picked], operations, shown)
    return picture(figure, f"weights{place}", f"{text}.{note}", numbers)


def _panels(edges: list[str], operations: list[str], shown: list[tuple[int, Rows]]) -> Any:
    """A small chart for each edge, all with the same axes."""
    lines = -(-len(edges) // COLUMNS)
    figure = new_figure((4.8, 0.9 + 1.25 * lines))
    axes = list(figure.subplots(lines, COLUMNS, sharex=True, sharey=True, squeeze=False).flat)
    x = [float(number) for number, _ in shown]
    for edge, (axis, name) in enumerate(zip(axes, edges, strict=False)):
        for pick, (colour, marker, line) in enumerate(names_of_looks(len(operations))):
            y = [_value(rows, edge, pick) for _, rows in shown]
            look = {"color": colour, "marker": marker, "linestyle": line, "markersize": 2.5, "linewidth": 1}
            axis.plot(x, y, label=word(operations[pick]), **look)
        axis.set_title(name, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(color=GRID, linewidth=0.5)
    for axis in axes[len(edges) :]:
        axis.axis("off")
    whole_ticks(axes[0], x)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=7, frameon=False)
    figure.supxlabel("epoch", fontsize=8)
    return figure


def _names(kind: str, rows: Rows, space: SupernetSpace | None) -> tuple[list[str], list[str]]:
    """What edges and candidates are called; numbers where the space is not here, or has not the same on all edges."""
    edges, width = [f"edge {place}" for place in range(len(rows))], max(len(row) for row in rows)
    operations = [f"candidate {pick}" for pick in range(min(width, 32))]
    if space is None or len(space.topology.edges) != len(rows) or kind not in space.topology.candidates:
        return edges, operations
    edges = [f"edge {source} to {target}" for source, target in space.topology.edges]
    candidates = set(space.topology.candidates[kind])
    return edges, list(next(iter(candidates))) if len(candidates) == 1 else operations


def _value(rows: Any, edge: int, pick: int) -> float:
    found = rows[edge][pick] if edge < len(rows) and pick < len(rows[edge]) else 0.0
    return float(found) if is_number(found) else float("nan")
