"""Part of the page about the device: its limits and by how much they are kept, and accuracy against cost."""

from typing import Any

from nasengine.protocols import SupernetSpace
from nasengine.report.chart_style import BLUE, INK, MAX_ROWS, VERMILION, is_number, legend, new_chart, shown_of
from nasengine.report.html_elements import Html, element, facts, joined, table
from nasengine.report.inline_picture import picture, pictures
from nasengine.report.page_trajectory import shared_evaluations
from nasengine.report.run_reading import RunContent
from nasengine.report.trade_off_drawing import draw_trade_offs
from nasengine.targets import METRICS


def device(content: RunContent, _: SupernetSpace | None) -> Html | None:
    """Limits, costs and the front; None for a run without a device."""
    target = (content.summary or {}).get("target")
    if not target:
        return None
    parts = [element("p", f"Device: {target['name']}. Costs are predicted, or measured before the search ended.")]
    figures = [_limits(target)] if target["limits"] else []
    trade_offs = target.get("trade_offs")
    if trade_offs:
        figures.append(_front(content, target))
        parts.append(_sizes(trade_offs))
    return joined([*parts, pictures(figures), _costs(target)])


def _sizes(found: dict[str, Any]) -> Html:
    return facts([
        ("architectures compared", f"{len(found['points'])}"),
        ("on the front", f"{sum(bool(row['is_on_front']) for row in found['points'])}"),
        ("knee of the front", element("code", found["knee"])),
        ("hypervolume", f"{found['hypervolume']:.4f} of 1, over {', '.join(map(_name, found['objectives']))}"),
    ])  # fmt: skip


def _name(metric: Any) -> str:
    return METRICS.get(metric, str(metric).replace("_", " "))


def _limits(target: dict[str, Any]) -> Html:
    """Shares of the limits that the winner takes up."""
    rows = [
        (_name(name), most, target["winner"].get(name), 100 * target["winner"][name] / most)
        for name, most in target["limits"].items()
        if is_number(target["winner"].get(name)) and is_number(most) and most > 0
    ]
    figure, axis = new_chart("share of the limit, %", "", (4.8, 1.3 + 0.4 * len(rows)))
    for place, (_, _, _, share) in enumerate(rows):
        is_kept = share <= 100
        axis.barh(place, share, color=BLUE if is_kept else VERMILION, height=0.55, hatch=None if is_kept else "//")
        axis.text(share, place, f" {share:.1f} %", va="center", fontsize=9, color=INK)
    axis.axvline(100, color=INK, linestyle=":")
    axis.set_yticks(range(len(rows)), [row[0] for row in rows])
    axis.set_xlim(0, max(118.0, 1.2 * max((row[3] for row in rows), default=0.0)))
    text = "How much of each limit the winner takes up; the dotted line is the limit, hatched bars exceed it"
    header = ("limit on", "limit", "winner", "share of the limit, %", "room left, %", "kept")
    found = [(*row, 100 - row[3], row[3] <= 100) for row in rows]
    return picture(figure, "limits", f"{text}.", table(header, found, f"Limits of {target['name']}"))


def _front(content: RunContent, target: dict[str, Any]) -> Html:
    found, winner = target["trade_offs"], content.summary["winner"]["genotype"] if content.summary else ""
    rows = sorted(found["points"], key=lambda row: (not row["is_on_front"], -row["validation_accuracy"]))[:MAX_ROWS]
    how = "with weights shared in the supernet" if shared_evaluations(content) else "of the finalists, trained briefly"
    figure, axis = new_chart("", "")
    draw_trade_offs(axis, {**target, "trade_offs": {**found, "points": rows}}, winner)
    axis.set_title("")
    axis.set_ylabel(f"validation accuracy\n{how}")
    legend(axis)
    marks = (("knee", found["knee"]), ("winner", winner))
    metrics = [name for name in (*METRICS, "latency_std_ms") if any(name in row for row in rows)]
    table_rows = [
        (row["genotype"], row["validation_accuracy"], *(row.get(name) for name in metrics), row["is_on_front"],
         ", ".join(name for name, text in marks if text == row["genotype"]) or None)
        for row in rows
    ]  # fmt: skip
    text = (
        f"Accuracy on validation images {how}, against cost; filled blue points are on the Pareto front, over "
        f"{', '.join(map(_name, found['objectives']))}"
    )
    note = shown_of(len(rows), len(found["points"]), "architectures")
    header = ("architecture", "validation accuracy", *map(_unit, metrics), "on the front", "marked")
    return picture(figure, "front", f"{text}.{note}", table(header, table_rows, "Architectures compared"))


def _unit(metric: str) -> str:
    units = {"latency_ms": ", ms", "model_bytes": ", bytes", "peak_bytes": ", bytes"}
    return "deviation of latency, ms" if metric == "latency_std_ms" else f"{_name(metric)}{units.get(metric, '')}"


def _costs(target: dict[str, Any]) -> Html:
    winner, baseline = target["winner"], target["random_baseline"]
    rows = [(_unit(name), winner[name], baseline.get(name), target["limits"].get(name)) for name in winner]
    return table(("cost", "winner", "random architecture", "limit"), rows, f"Costs on {target['name']}")
