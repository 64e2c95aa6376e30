"""Part of the page about further limits: each has a network of its own, from the same elastic supernet."""

from nasengine.protocols import SupernetSpace
from nasengine.report.chart_style import MAX_ROWS, draw_series, new_chart, shown_of
from nasengine.report.html_elements import Html, element, table
from nasengine.report.inline_picture import picture
from nasengine.report.run_reading import RunContent

HEADER = (
    "network", "at most", "macs", "parameters", "test accuracy", "genotype", "file's largest deviation from torch",
)  # fmt: skip
MILLION = 1e6


def within(content: RunContent, _: SupernetSpace | None) -> Html | None:
    """Accuracy against multiply-accumulates; None for a run without further limits, or one that is not finished."""
    summary = content.summary
    if summary is None or not summary.get("within"):
        return None
    every = summary["within"]
    answers = every[:MAX_ROWS]
    winner = {**summary["winner"], "onnx": summary.get("onnx")}
    numbered = [(f"within {place}", row["limit"], row) for place, row in enumerate(answers, start=1)]
    named = [("winner", None, winner), *numbered]
    rows = [
        (name, limit, row["macs"], row["num_parameters"], row["test_accuracy"], element("code", row["genotype"]),
         (row.get("onnx") or {}).get("max_deviation"))
        for name, limit, row in named
    ]  # fmt: skip
    figure, axis = new_chart("multiply-accumulates, millions", "test accuracy")
    draw_series(axis, sorted((row["macs"] / MILLION, row["test_accuracy"]) for row in answers), 0, "within a limit")
    draw_series(axis, [(winner["macs"] / MILLION, winner["test_accuracy"])], 1, "winner")
    axis.legend(fontsize=8)
    text = (
        "Test accuracy of the networks for further limits against what they cost; all come from one supernet, and test "
        "images were looked at after every decision"
    )
    note = shown_of(len(answers), len(every), "networks")
    return picture(figure, "within", f"{text}.{note}", table(HEADER, rows, "Networks within further limits"))
