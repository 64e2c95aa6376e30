"""One HTML file that shows all of a run: readable without a network, on a telephone, on paper; it has no scripts."""

from collections.abc import Callable
from pathlib import Path

from nasengine.errors import NasEngineError, StoreError
from nasengine.protocols import SupernetSpace
from nasengine.report.html_elements import Html, element, joined
from nasengine.report.page_device import device
from nasengine.report.page_exports import exports
from nasengine.report.page_family import family
from nasengine.report.page_origin import origin
from nasengine.report.page_outcome import cells, outcome
from nasengine.report.page_prediction import prediction
from nasengine.report.page_selection import selection
from nasengine.report.page_splits import splits
from nasengine.report.page_style import POLICY, STYLE
from nasengine.report.page_training import training
from nasengine.report.page_trajectory import trajectory
from nasengine.report.page_weights import weights
from nasengine.report.page_within import within
from nasengine.report.run_command import command_name
from nasengine.report.run_reading import RunContent
from nasengine.store.artifacts import write_file

PAGE_NAME = "report.html"
Section = Callable[[RunContent, SupernetSpace | None], Html | None]
SECTIONS: tuple[tuple[str, str, Section], ...] = (
    ("outcome", "What came out", outcome),
    ("cells", "The winner's cells", cells),
    ("device", "On the device", device),
    ("within-limits", "Within further limits", within),
    ("trajectory", "How the search went", trajectory),
    ("training", "Training", training),
    ("weights", "Architecture weights", weights),
    ("selection", "What the supernet misses", selection),
    ("splits", "Splits and finalists", splits),
    ("prediction", "Predicted and measured", prediction),
    ("family", "The family", family),
    ("exports", "Exported files", exports),
    ("origin", "How to make it again", origin),
)
"""Parts of the page in their order; one that finds nothing of its own in the run is left out."""
UNEXPECTED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, NasEngineError)
"""What strange contents of a run folder lead to: every part expects what nasengine writes, but anyone can write it."""


def write_page(content: RunContent, space: SupernetSpace | None, path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        content: the run, finished or not.
        space: that it searched; None where it is not installed: cells are not drawn then.
        path: file to write.

    Raises:
        StoreError: its folder is not there or cannot be written to.
    """
    if not path.parent.is_dir():
        raise StoreError(
            f"page {path}: expected a file name in a folder that is there, got {path.parent}; make it first"
        )
    if path.is_dir():
        raise StoreError(f"page {path}: expected a file name, got a folder; name a file in it")
    write_file(path, page_of(content, space).encode())


def page_of(content: RunContent, space: SupernetSpace | None) -> str:
    """The page as text; the same run gives the same text."""
    found = [(name, title, _section(title, make, content, space)) for name, title, make in SECTIONS]
    shown = [(name, title, body) for name, title, body in found if body]
    settings = content.settings
    title = f"{settings.get('space', 'Search')} on {_last_part(settings.get('data'))}"
    links = (element("li", element("a", text, href=f"#{name}")) for name, text, _ in shown)
    size = f"{settings.get('budget')} budget, seed {settings.get('seed')}"
    about = f"nasengine {command_name(settings)}, {size}, {content.status}"
    header = element("header", element("h1", title), element("p", about, class_="quiet"))
    sections = [
        element("section", element("h2", text, id_=f"{name}-title"), body, id_=name, aria_labelledby=f"{name}-title")
        for name, text, body in shown
    ]
    navigation = element("nav", element("ul", *links), aria_label="parts of this page")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} - nasengine"),
        element("style", Html(STYLE)),
    )
    body = element("body", header, navigation, element("main", *sections))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _section(title: str, make: Section, content: RunContent, space: SupernetSpace | None) -> Html | None:
    try:
        return make(content, space)
    except UNEXPECTED as fault:
        text = f"{title}: the run folder does not hold what is expected here ({type(fault).__name__}: {fault})."
        return joined([element("p", text, class_="fault")])


def _last_part(data: object) -> str:
    return Path(str(data)).name or str(data)
