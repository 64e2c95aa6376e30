"""Figures as SVG inside a page: no file beside it, words that stay words, and names that occur once in a page."""

import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

from nasengine.report.html_elements import Html, details, element

OPENING = re.compile(r"<svg\b[^>]*>")
VIEW_BOX = re.compile(r'viewBox="([\d. -]+)"')
LEFT_OUT = re.compile(r"<metadata>.*?</metadata>|<style\b.*?</style>|<!--.*?-->", re.DOTALL)
POINTS_TO_PIXELS = 4 / 3
LEAST_SCALE = 0.72
"""How far a figure shrinks on a narrow screen before it scrolls instead."""
PADDING = 0.15
"""Inches around a figure: the reader's font may be wider than the one it was laid out with."""
MAX_CHARACTERS = 400_000


def svg_of(figure: Any, name: str, description: str) -> Html:
    """A matplotlib figure as one SVG element.

    Args:
        figure: of ``new_figure``.
        name: of the figure in its page: put before every id.
        description: for those who do not see it.
    """
    import matplotlib

    content = io.BytesIO()
    # parse_math: names with dollar signs are strangers' texts, and no formulas
    settings = {"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # signs that matplotlib's own font lacks: the reader's has them
        figure.savefig(
            content, format="svg", transparent=True, metadata={"Date": None, "Creator": None}, bbox_inches="tight",
            pad_inches=PADDING,
        )  # fmt: skip
    text = "".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in content.getvalue().decode())
    if len(text) > MAX_CHARACTERS:
        return element("p", f"This picture is left out: it has more than {MAX_CHARACTERS:,} signs.", class_="quiet")
    start = OPENING.search(text)
    box = VIEW_BOX.search(text)
    assert start is not None
    assert box is not None
    inside = LEFT_OUT.sub("", text[start.end() : text.rindex("</svg>")])
    inside = inside.replace("xlink:href=", "href=")
    inside = re.sub(r'\bid="', f'id="{name}-', inside)
    inside = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", inside)
    width = float(box.group(1).split()[2]) * POINTS_TO_PIXELS
    title = element("title", description, id_=f"{name}-words")
    opening = element(
        "svg", title, viewBox=box.group(1), role="img", aria_labelledby=f"{name}-words", width=f"{width:.0f}",
        style=f"min-width:{LEAST_SCALE * width:.0f}px",
    )  # fmt: skip
    return Html(f"{opening.removesuffix('</svg>')}{inside}</svg>")


def picture(figure: Any, name: str, description: str, *numbers: Html) -> Html:
    """A figure with what it shows in words, and its numbers in tables under it.

    Args:
        figure: of ``new_figure``.
        name: of the figure in its page, once in a page: letters and digits.
        description: what it shows.
        numbers: tables of what was drawn.
    """
    frame = element(
        "div", svg_of(figure, name, description), class_="picture", role="group", tabindex="0",
        aria_label="picture; scrolls where it is wider than the page",
    )  # fmt: skip
    return element("figure", frame, element("figcaption", description), details("Numbers", *numbers))


def pictures(figures: Sequence[Html]) -> Html:
    """Figures beside one another where there is room."""
    return element("div", *figures, class_="pictures")
