"""Figures as SVG inside a page: no file beside it, words that stay words, and names that occur once in a page."""

import io
import re
import warnings
from typing import Any

from nasengine.report.html_elements import Html, details, element

OPENING = re.compile(r"<svg\b[^>]*>")
VIEW_BOX = re.compile(r'viewBox="([\d. -]+)"')
LEFT_OUT = re.compile(r"<metadata>.*?</metadata>|<style\b.*?</style>|<!--.*?-->", re.DOTALL)
POINTS_TO_PIXELS = 4 / 3


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
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = content.getvalue().decode()
    start = OPENING.search(text)
    box = VIEW_BOX.search(text)
    assert start is not None
    assert box is not None
    inside = LEFT_OUT.sub("", text[start.end() : text.rindex("</svg>")])
    inside = inside.replace("xlink:href=", "href=")
    inside = re.sub(r'\bid="', f'id="{name}-', inside)
    inside = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", inside)
    width = float(box.group(1).split()[2]) * POINTS_TO_PIXELS
    opening = element("svg", viewBox=box.group(1), role="img", aria_label=description, width=f"{width:.0f}")
    return Html(f"{opening.removesuffix('</svg>')}{inside}</svg>")


def picture(figure: Any, name: str, description: str, *numbers: Html) -> Html:
    """A figure with what it shows in words, and its numbers in tables under it."""
    frame = element(
        "div", svg_of(figure, name, description), class_="picture", role="group", tabindex="0",
        aria_label="picture, scrolls",
    )  # fmt: skip
    return element("figure", frame, element("figcaption", description), *(details("Numbers", part) for part in numbers))
