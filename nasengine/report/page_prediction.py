"""Part of the page about the predictor: predicted against measured, and how far its certainty can be trusted."""

import math
from itertools import combinations
from typing import Any

from nasengine.protocols import SupernetSpace
from nasengine.report.chart_style import BLUE, INK, MAX_ROWS, is_number, legend, new_chart, shown_of
from nasengine.report.html_elements import Html, element, facts, joined, table
from nasengine.report.inline_picture import picture, pictures
from nasengine.report.run_picture import draw_prediction
from nasengine.report.run_reading import RunContent

NUM_BINS = 5
FEW_PAIRS = 50
Row = dict[str, Any]


def prediction(content: RunContent, _: SupernetSpace | None) -> Html | None:
    """Ranks that were predicted before training beside accuracies; None for a run without a predictor."""
    summary = content.summary or {}
    found = summary.get("prediction")
    if not found:
        return None
    every = [row for row in found["finalists"] if is_number(row["predicted_rank"]) and is_number(row["std"])]
    rows = every[:MAX_ROWS]
    measured = [row for row in rows if is_number(row["validation_accuracy"])]
    dropped = f"{found['num_dropped']} of {found['num_ranked']} dropped before any training"
    parts = [facts([("predictor", found["predictor"]), ("architectures ranked", dropped)])]
    figures = []
    if measured:
        figures.append(_against_measured({**found, "finalists": measured}, summary["winner"]["genotype"], len(every)))
    pairs = stated_pairs(measured)
    if pairs:
        figures.append(_calibration(pairs))
        parts.append(element("p", _verdict(pairs)))
    return joined([*parts, pictures(figures)])


def _against_measured(found: Row, winner: str, every: int) -> Html:
    figure, axis = new_chart("", "")
    draw_prediction(axis, found, winner)
    axis.set_title("")
    axis.set_xlim(auto=True)
    axis.set_ylabel("validation accuracy, weights from\nthe supernet, trained on briefly")
    rows = [
        (row["genotype"], row["predicted_rank"], row["std"], row["validation_accuracy"], row["genotype"] == winner)
        for row in found["finalists"]
    ]
    text = (
        "Rank in the pool that was predicted before any training, with one standard deviation, against the accuracy "
        "of the finalists when they left the race; the winner is a red star"
    )
    note = shown_of(len(rows), every, "finalists")
    header = ("architecture", "predicted rank", "standard deviation", "validation accuracy", "winner")
    return picture(figure, "predicted", f"{text}.{note}", table(header, rows, "Predicted against measured"))


def stated_pairs(rows: list[Row]) -> list[tuple[float, bool]]:
    """For every two networks: how sure the predictor is of the order that it predicts, and whether it is right.

    Two normal predictions with means m, n and deviations s, t are in the order of their means with probability
    Phi(|m - n| / sqrt(s^2 + t^2)). Equal accuracies or means say nothing and are left out.

    >>> row = {"predicted_rank": 0.9, "std": 0.3, "validation_accuracy": 0.7}
    >>> other = {"predicted_rank": 0.4, "std": 0.3, "validation_accuracy": 0.8}
    >>> [(round(sure, 2), is_right) for sure, is_right in stated_pairs([row, other])]
    [(0.88, False)]
    """
    found = []
    for first, second in combinations(rows, 2):
        distance = first["predicted_rank"] - second["predicted_rank"]
        difference = first["validation_accuracy"] - second["validation_accuracy"]
        if distance == 0 or difference == 0:
            continue
        spread = math.hypot(first["std"], second["std"])
        sure = 1.0 if spread == 0 else 0.5 * (1 + math.erf(abs(distance) / spread / math.sqrt(2)))
        found.append((sure, (distance > 0) == (difference > 0)))
    return found


def _verdict(pairs: list[tuple[float, bool]]) -> str:
    right, stated = sum(is_right for _, is_right in pairs), sum(sure for sure, _ in pairs)
    hint = " That is too few pairs for more than a hint." if len(pairs) < FEW_PAIRS else ""
    return (
        f"Of {len(pairs)} pairs of finalists the predictor put {right} in the measured order; by its own certainty "
        f"{stated:.1f} were to be expected, and half of them by chance.{hint}"
    )


def _calibration(pairs: list[tuple[float, bool]]) -> Html:
    rows = []
    for place in range(NUM_BINS):
        low, high = (0.5 + 0.5 * edge / NUM_BINS for edge in (place, place + 1))
        inside = [pair for pair in pairs if low <= pair[0] < high or (place == NUM_BINS - 1 and pair[0] >= high)]
        if inside:
            stated = sum(sure for sure, _ in inside) / len(inside)
            rows.append(
                (f"{low:.1f} to {high:.1f}", stated, sum(right for _, right in inside) / len(inside), len(inside))
            )
    figure, axis = new_chart("stated certainty of the order of two", "share in the measured order")
    axis.plot([0.5, 1], [0.5, 1], ":", color=INK, label="perfectly calibrated")
    axis.plot([row[1] for row in rows], [row[2] for row in rows], "o", color=BLUE, label="this predictor")
    for _, stated, share, count in rows:
        axis.annotate(f"{count}", (stated, share), xytext=(6, 4), textcoords="offset points", fontsize=9, color=INK)
    axis.set(xlim=(0.48, 1.03), ylim=(-0.05, 1.12))
    legend(axis)
    text = (
        "Calibration of the predictor: how sure it was which of two finalists is better, against how often it was "
        "right; numbers count pairs"
    )
    header = ("stated certainty", "mean of it", "share right", "pairs")
    return picture(figure, "calibration", f"{text}.", table(header, rows, "Calibration, by certainty"))
