"""First part of the page: what came out, what it means, and the cells."""

import math
import shlex
from typing import Any

from nasengine.cells import genotype_of
from nasengine.protocols import SupernetSpace
from nasengine.report.cell_drawing import draw_cell, new_figure
from nasengine.report.html_elements import Html, element, facts, joined, number, table
from nasengine.report.inline_picture import picture, pictures
from nasengine.report.run_command import command_name
from nasengine.report.run_reading import RunContent
from nasengine.targets import METRICS

DEVIATIONS = 2
"""Differences below so many standard errors are called noise."""


def outcome(content: RunContent, _: SupernetSpace | None) -> Html:
    """A sentence that says what the result means, and the figures behind it."""
    summary = content.summary
    faults = [element("p", fault, class_="fault") for fault in content.faults]
    if summary is None:
        return joined([*faults, _unfinished(content)])
    winner, baseline, onnx = summary["winner"], summary["random_baseline"], summary.get("onnx") or {}
    rows = facts([
        ("winner", element("code", winner["genotype"])),
        ("test accuracy", f"{winner['test_accuracy']:.4f} on {summary['data']['num_test']} images"),
        ("random baseline", f"{baseline['test_accuracy']:.4f}, a random architecture with the same training"),
        ("multiply-accumulates", number(winner.get("macs"))), ("parameters", number(winner.get("num_parameters"))),
        ("memory of activations", f"{number(winner.get('peak_activation_bytes'))} bytes for one image"),
        ("ONNX file", onnx.get("path")),
        ("largest deviation of the file", f"{number(onnx.get('max_deviation'))} from torch"),
        ("same class as torch", f"{onnx['top1_agreement']:.2%} of test images" if "top1_agreement" in onnx else None),
        ("time", f"{summary['seconds']:.0f} s"),
    ])  # fmt: skip
    return joined([*faults, element("p", verdict(summary), class_="verdict"), rows])


def _unfinished(content: RunContent) -> Html:
    reason = content.stopped
    if reason is not None:
        text = f"This search stopped before its end: {reason.rstrip('.')}. It got this far: {progress_of(content)}."
    else:
        text = (
            f"This search is not finished: {progress_of(content)}. It is still running, or was ended from outside "
            "before it could say why."
        )
    command = element("code", f"nasengine {command_name(content.settings)} --resume {shlex.quote(str(content.folder))}")
    return element("p", text, " Go on with: ", command, class_="verdict")


def progress_of(content: RunContent) -> str:
    """How far an unfinished run is."""
    if not content.steps:
        return "no step is done yet"
    task = content.steps[-1]["task"]
    return f"{task} has {sum(event['task'] == task for event in content.steps)} steps done, after {_seconds(content)}"


def _seconds(content: RunContent) -> str:
    return f"{sum(event.get('seconds', 0.0) for event in content.events):.0f} s of work"


def verdict(summary: dict[str, Any]) -> str:
    """What the result means.

    The winner is compared with a random architecture that was trained in the same way; a difference counts where it is
    more than two standard errors of a difference of two proportions.
    """
    winner, baseline = summary["winner"]["test_accuracy"], summary["random_baseline"]["test_accuracy"]
    num_images = summary["data"]["num_test"]
    noise = DEVIATIONS * math.sqrt((winner * (1 - winner) + baseline * (1 - baseline)) / num_images)
    points = 100 * (winner - baseline)
    if abs(winner - baseline) <= noise:
        meaning = (
            f"that is {points:+.1f} points against a random architecture with the same training, and no difference "
            f"that {num_images} images can show (below {100 * noise:.1f} points it is noise)"
        )
    else:
        word = "better" if points > 0 else "worse"
        meaning = (
            f"that is {abs(points):.1f} points {word} than a random architecture with the same training, more than the "
            f"{100 * noise:.1f} points that are noise on {num_images} images"
        )
    return f"The winner names {100 * winner:.1f} % of the test images right; {meaning}.{_limits_sentence(summary)}"


def _limits_sentence(summary: dict[str, Any]) -> str:
    target = summary.get("target")
    if not target or not target["limits"]:
        return ""
    costs = target["winner"]
    missed = [METRICS.get(name, name) for name, most in target["limits"].items() if costs.get(name, 0.0) > most]
    if missed:
        return f" It misses limits of {target['name']}: {', '.join(missed)}."
    return f" It keeps the limits of {target['name']}."


def cells(content: RunContent, space: SupernetSpace | None) -> Html | None:
    """The winner's cells, drawn, with a table of their edges; None without a winner."""
    if content.summary is None:
        return None
    if space is None:
        name = content.settings.get("space")
        return element("p", f"The search space {name} is not installed here, or has no cells to draw.")
    genotype = genotype_of(space.topology, space.selection(space.parse(content.summary["winner"]["genotype"])))
    figures = []
    for place, kind in enumerate(space.topology.kinds):
        edges = genotype.edges(kind)
        figure = new_figure((6.4, 4.0))
        draw_cell(figure.subplots(), space.topology, edges, "")
        rows = [(f"{edge.source} to {edge.target}", edge.operation) for edge in edges]
        said = "; ".join(f"{ends}: {operation}" for ends, operation in rows)
        named = f"{kind} cell" if len(space.topology.kinds) > 1 else kind.replace("layer", "chain of layers")
        figures.append(
            picture(
                figure, f"cell{place}", f"The winner's {named}. Edges: {said}.",
                table(("edge", "operation"), rows, f"Edges of the winner's {named}"),
            )
        )  # fmt: skip
    return pictures(figures)
