"""Part of the page about selection: what the supernet misses without each candidate, edge by edge."""

from typing import Any

from nasengine.protocols import SupernetSpace
from nasengine.report.cell_drawing import new_figure
from nasengine.report.chart_style import shown_of
from nasengine.report.html_elements import Html, details, joined, table
from nasengine.report.inline_picture import picture, pictures
from nasengine.report.run_picture import draw_edge_decisions, selection_task
from nasengine.report.run_reading import RunContent

MAX_TASKS, MAX_EDGES = 4, 64
INCHES_PER_EDGE = 0.24
Decision = dict[str, Any]


def selection(content: RunContent, _: SupernetSpace | None) -> Html | None:
    """A chart for each supernet that was selected from by perturbation, the winner's first; None without one."""
    found: dict[str, list[Decision]] = {}
    for event in content.steps:
        decisions = event["metrics"].get("decisions")
        if event["task"].startswith("selection") and isinstance(decisions, list):
            found.setdefault(event["task"], []).extend(decisions)
    if not found:
        return None
    winner = selection_task(content.summary) if content.summary is not None else None
    tasks = sorted(found, key=lambda task: (task != winner, len(task), task))[:MAX_TASKS]
    note = shown_of(len(tasks), len(found), "supernets")
    figures = []
    for place, task in enumerate(tasks):
        edges = [decision for decision in found[task] if decision.get("edge") and decision["damage_without"]]
        if edges:
            figures.append(_edges(place, _title(task, task == winner), edges, note))
    nodes = [_nodes(task, found[task]) for task in tasks if any("node" in decision for decision in found[task])]
    return joined([pictures(figures), *(details("Which inputs the nodes keep", part) for part in nodes)])


def _title(task: str, is_winner: bool) -> str:
    leaf = task.removeprefix("selection-").replace("selection", "the supernet")
    return f"{leaf}, where the winner comes from" if is_winner else leaf


def _edges(place: int, title: str, every: list[Decision], note: str) -> Html:
    decisions = every[:MAX_EDGES]
    figure = new_figure((4.8, 1.2 + INCHES_PER_EDGE * len(decisions)))
    axis = figure.subplots()
    draw_edge_decisions(axis, list(decisions))
    axis.set_title("")
    rows = []
    for decision in decisions:
        least = min(decision["damage_without"].values())
        ends = "{} to {}".format(*decision["edge"])
        rows += [
            (decision["kind"], ends, name, damage, damage - least, name == decision["kept"])
            for name, damage in decision["damage_without"].items()
        ]
    text = (
        f"Perturbation in {title}: how much larger the validation loss is without a candidate than without the least "
        "missed one of its edge; the candidate that was kept is a red diamond"
    )
    header = ("cell", "edge", "candidate", "loss without it", "extra loss", "kept")
    note += shown_of(len(decisions), len(every), "edges")
    return picture(figure, f"drops{place}", f"{text}.{note}", table(header, rows, f"Perturbation in {title}"))


def _nodes(task: str, decisions: list[Decision]) -> Html:
    rows = [
        (decision["kind"], decision["node"], number + 1, source, damage, source == str(entry["removed"]))
        for decision in decisions
        if "node" in decision
        for number, entry in enumerate(decision["rounds"])
        for source, damage in entry["damage_without"].items()
    ][: MAX_EDGES * 8]
    header = ("cell", "node", "round", "input from node", "loss without it", "removed")
    return table(header, rows, f"Inputs of nodes, {_title(task, False)}: the least missed one goes, round after round")
