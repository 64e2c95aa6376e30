"""Part of the page about the family: networks of other sizes that begin with what the winner knows."""

from typing import Any

from nasengine.protocols import SupernetSpace
from nasengine.report.chart_style import MAX_ROWS, shown_of
from nasengine.report.family_picture import family_figure
from nasengine.report.html_elements import Html, facts, joined, number, table
from nasengine.report.inline_picture import picture
from nasengine.report.run_reading import RunContent

HEADER = (
    "network", "depth", "width", "parameters", "macs", "inherited, untuned", "tuned", "from scratch, as many epochs",
    "file's largest deviation from torch",
)  # fmt: skip


def family(content: RunContent, _: SupernetSpace | None) -> Html | None:
    """Accuracy against size; None for a run without a family, or with one that is not finished."""
    found = content.family
    if not found or not found["members"]:
        return None
    every, learngene = found["members"], found["learngene"]
    members = every[:MAX_ROWS]
    rows = [
        (row["name"], row["depth"], row["width"], row["num_parameters"], row["macs"], row["untuned_accuracy"],
         row["test_accuracy"], row.get("scratch_test_accuracy"), (row.get("onnx") or {}).get("max_deviation"))
        for row in members
    ]  # fmt: skip
    figure = family_figure({**found, "members": members}, (6.2, 4.2))
    text = (
        "Test accuracy of the family's networks against their size; test images were looked at after all training, and "
        "decide nothing"
    )
    kept = facts([
        ("learngene", f"{number(learngene['num_values'])} numbers, from which every size begins"),
        ("its networks", f"{number(learngene['num_values_of_members'])} numbers, {learngene['ratio']:.1f} times"),
        ("the winner", f"{found['lineage']['test_accuracy']:.4f} test accuracy"),
        *_teacher(found),
        ("time", f"{found['seconds']:.0f} s"),
    ])  # fmt: skip
    note = shown_of(len(members), len(every), "networks")
    return joined([kept, picture(figure, "family", f"{text}.{note}", table(HEADER, rows, "Networks of the family"))])


def _teacher(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Who taught the family, where it was not the winner."""
    size = found.get("teacher")
    if size is None:
        return []
    text = f"depth {size['depth']}, width {size['width']}, {size['test_accuracy']:.4f} test accuracy"
    return [("learned from a larger network", text)]
