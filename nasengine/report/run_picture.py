"""One picture of a run: the winner's cells, the splits, the losses, what the selection measured, and the result."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from nasengine.cells import genotype_of
from nasengine.protocols import SearchSpace, SupernetSpace
from nasengine.report.cell_drawing import draw_cell, new_figure, write_figure
from nasengine.report.split_drawing import MAX_MATRICES, draw_leaves, draw_matrix, titles
from nasengine.report.trade_off_drawing import draw_trade_offs
from nasengine.store.journal import Event

COLOURS = {"supernet": "#1f77b4", "winner": "#d62728", "random_baseline": "#7f7f7f"}


def draw_run(events: Sequence[Event], space: SearchSpace, summary: dict[str, Any], path: Path) -> None:
    """Write the picture of a finished run.

    Args:
        events: the journal.
        space: the search space.
        summary: outcome of the run.
        path: file to write; its ending gives the type.
    """
    edges = space.topology.edges if isinstance(space, SupernetSpace) else ()
    splits = titles(summary.get("splits", []), edges)
    if splits:
        figure = new_figure((15.0, 13.0))
        above, middle, below = figure.subfigures(3, 1, height_ratios=(1, 0.8, 1.35))
        _draw_splits(middle, splits, summary)
    else:
        has_cells = isinstance(space, SupernetSpace)
        figure = new_figure((15.0, 9.5 if has_cells else 6.5))
        above, below = figure.subfigures(2, 1, height_ratios=(1 if has_cells else 0.3, 1.35))
    _draw_winner(above, space, summary["winner"]["genotype"])
    prediction, target = summary.get("prediction"), summary.get("target")
    widths = (1.2, 0.5, 1.5) + (0.9,) * sum(part is not None for part in (prediction, target))
    training, result, selection, *rest = below.subplots(1, len(widths), width_ratios=widths)
    if target is not None:
        draw_trade_offs(rest.pop(), target, summary["winner"]["genotype"])
    if prediction is not None:
        draw_prediction(rest.pop(), prediction, summary["winner"]["genotype"])
    _draw_losses(training, events)
    _draw_result(result, summary)
    _draw_decisions(selection, events, summary)
    data, settings = summary["data"], summary["settings"]
    figure.suptitle(
        f"{summary['space']} on {data['name']}, {settings['budget']} budget, seed {settings['seed']}, "
        f"{summary['seconds']:.0f} s"
    )
    write_figure(figure, path)


def _draw_winner(figure: Any, space: SearchSpace, text: str) -> None:
    """Its cells, or its genotype where it has none."""
    if not isinstance(space, SupernetSpace):
        figure.text(0.5, 0.3, "\n".join(["winner", "", *wrap(text, 110)]), ha="center", va="center", family="monospace")
        return
    topology = space.topology
    genotype = genotype_of(topology, space.selection(space.parse(text)))
    cells = figure.subplots(1, len(topology.kinds), squeeze=False)[0]
    for axis, kind in zip(cells, topology.kinds, strict=True):
        title = "winner" if len(topology.kinds) == 1 else f"winner: {kind} cell"
        draw_cell(axis, topology, genotype.edges(kind), title)


def _draw_splits(figure: Any, splits: list[tuple[str, dict[str, Any]]], summary: dict[str, Any]) -> None:
    """Where the supernet was split, and how the leaves did."""
    shown = splits[:MAX_MATRICES]
    has_finalists = bool(summary["leaves"])
    axes = figure.subplots(1, len(shown) + has_finalists, squeeze=False)[0]
    for axis, (title, split) in zip(axes, shown, strict=False):
        draw_matrix(axis, split, title)
    if has_finalists:
        draw_leaves(axes[-1], summary)
    if len(splits) > len(shown):
        figure.text(0.01, 0.01, f"and {len(splits) - len(shown)} more splits, see summary.json", fontsize=7)


def selection_task(summary: dict[str, Any]) -> str:
    """The selection that the winner came from."""
    found = [row["leaf"] for row in summary.get("leaves", []) if row["genotype"] == summary["winner"]["genotype"]]
    return f"selection-leaf{found[0]}" if found else "selection"


def _draw_losses(axis: Any, events: Sequence[Event]) -> None:
    for task, colour in COLOURS.items():
        metrics = [event["metrics"] for event in events if event["event"] == "step" and event["task"] == task]
        losses = [entry["loss"] for entry in metrics if "loss" in entry]  # splits have none
        if losses:
            marker = "." if len(losses) < 20 else None
            axis.plot(range(1, len(losses) + 1), losses, color=colour, label=task.replace("_", " "), marker=marker)
    axis.set(xlabel="epoch", ylabel="training loss", title="training", yscale="log")
    axis.legend(frameon=False)
    axis.grid(alpha=0.3)


def _draw_result(axis: Any, summary: dict[str, Any]) -> None:
    names = ("winner", "random_baseline")
    values = [summary[name]["test_accuracy"] for name in names]
    bars = axis.bar(["winner", "random"], values, color=[COLOURS[name] for name in names], width=0.6)
    axis.bar_label(bars, [f"{value:.4f}" for value in values], fontsize=9)
    axis.set_ylim(max(0.0, min(values) - 0.1), min(1.05, max(values) + 0.03))
    axis.set_title("test accuracy")


def draw_prediction(axis: Any, prediction: dict[str, Any], winner: str) -> None:
    """Predicted before training, against measured on validation images; the winner is a red star."""
    for row in prediction["finalists"]:
        if row["validation_accuracy"] is not None:
            colour, marker = ("#d62728", "*") if row["genotype"] == winner else ("#555555", "o")
            place = row["predicted_rank"], row["validation_accuracy"]
            size = 11 if marker == "*" else 6
            axis.errorbar(
                *place, xerr=row["std"], fmt=marker, color=colour, ecolor="#cccccc", capsize=2, markersize=size
            )
    axis.set(xlim=(-0.02, 1.05), xlabel="predicted rank in the pool", ylabel="validation accuracy")
    axis.set_title(f"{prediction['num_dropped']} of {prediction['num_ranked']} dropped untrained", fontsize=9)
    axis.grid(alpha=0.3)


def _draw_decisions(axis: Any, events: Sequence[Event], summary: dict[str, Any]) -> None:
    """How much more each candidate is missed than the least missed one of its edge; the one that was kept is red."""
    decisions = [
        decision
        for event in events
        if event["event"] == "step" and event["task"] == selection_task(summary)
        for decision in event["metrics"].get("decisions", [])
        if "edge" in decision
    ]
    draw_edge_decisions(axis, decisions)


def draw_edge_decisions(axis: Any, decisions: list[dict[str, Any]]) -> None:
    """A line for each edge that was decided.

    Args:
        axis: to draw on.
        decisions: on edges, as the journal has them; they are put in order.
    """
    if not decisions:
        axis.axis("off")
        axis.text(0.5, 0.5, "selection compared no operations", ha="center", va="center")
        return
    decisions.sort(key=lambda decision: (decision["kind"], decision["edge"][1], decision["edge"][0]), reverse=True)
    for row, decision in enumerate(decisions):
        least = min(decision["damage_without"].values(), default=0.0)
        for operation, damage in decision["damage_without"].items():
            kept = operation == decision["kept"]
            style = {"marker": "D", "color": "#d62728"} if kept else {"marker": "o", "color": "#777777"}
            axis.plot(damage - least, row, linestyle="", markersize=5 if kept else 3, **style)
    labels = [
        f"{decision['kind']} {decision['edge'][0]}-{decision['edge'][1]}  {decision['kept']}" for decision in decisions
    ]
    axis.set_yticks(range(len(labels)), labels, fontsize=7 if len(labels) > 12 else 9)
    axis.set(xlabel="extra loss without the operation", title="selection (red diamond: kept)")
    axis.axvline(0, color="#cccccc", lw=0.8)
