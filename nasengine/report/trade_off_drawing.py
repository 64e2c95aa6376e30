"""Accuracy against cost on a device: what was measured, the front, its knee, the winner and the limits."""

from typing import Any

from nasengine.targets import METRICS

UNITS = {"latency_ms": (1.0, "ms"), "macs": (1e6, "millions"), "model_bytes": (1e3, "KB")}
GREY, BLUE, RED = "#808080", "#0072b2", "#d62728"


def draw_trade_offs(axis: Any, target: dict[str, Any], winner: str) -> None:
    """One panel of the report.

    Args:
        axis: to draw on.
        target: of the summary, see ``device_summary``.
        winner: its genotype.
    """
    found = target["trade_offs"]
    if found is None:
        axis.axis("off")
        axis.text(0.5, 0.5, f"{target['name']}: fewer than two\narchitectures compared", ha="center", va="center")
        return
    cost = found["objectives"][1]
    unit, name = UNITS[cost]
    rows = sorted(found["points"], key=lambda row: row[cost])
    front = [row for row in rows if row["is_on_front"]]
    axis.scatter([row[cost] / unit for row in rows], [row["validation_accuracy"] for row in rows], c=GREY, s=14)
    axis.plot([row[cost] / unit for row in front], [row["validation_accuracy"] for row in front], "o-", color=BLUE,
              markersize=4, linewidth=1, label="front")  # fmt: skip
    for genotype, marker, colour, label in ((found["knee"], "D", BLUE, "knee"), (winner, "*", RED, "winner")):
        for row in rows:
            if row["genotype"] == genotype:
                axis.plot(row[cost] / unit, row["validation_accuracy"], marker, color=colour, markersize=9, label=label)
    if cost in target["limits"]:
        axis.axvline(target["limits"][cost] / unit, color="#333333", linestyle=":", label="limit")
    axis.set(xlabel=f"{METRICS[cost]} on {target['name']}, {name}", ylabel="validation accuracy")
    axis.set_title(f"{len(rows)} compared, hypervolume {found['hypervolume']:.3f}", fontsize=9)
    axis.legend(frameon=False, fontsize=8)
    axis.grid(alpha=0.3)
