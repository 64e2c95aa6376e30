"""HTML as values: every text is escaped unless it is ``Html`` already, so that strangers' texts stay texts."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

VOID = frozenset({"meta", "br", "hr", "img", "col"})
MISSING = "-"
MAX_LENGTH = 1000
LONG = 32


class Html(str):
    """Markup that was made here."""

    __slots__ = ()


def element(tag: str, *children: Any, **attributes: Any) -> Html:
    """One element; attributes of value None are left out, and a last ``_`` of their names is dropped.

    >>> element("p", "a < b", element("b", "c"), class_="note")
    '<p class="note">a &lt; b<b>c</b></p>'
    """
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not None}
    start = "".join([f"<{tag}", *(f' {name}="{_escaped(value)}"' for name, value in names.items()), ">"])
    return Html(start if tag in VOID else f"{start}{joined(children)}</{tag}>")


def joined(parts: Iterable[Any]) -> Html:
    """Parts one after another; what is not ``Html`` is escaped, and cut where it is longer than anyone reads."""
    return Html("".join(part if isinstance(part, Html) else _escaped(part) for part in parts))


def _escaped(value: Any) -> str:
    text = str(value)
    shown = "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in text[:MAX_LENGTH])
    return escape(shown if len(text) <= MAX_LENGTH else f"{shown} (and {len(text) - MAX_LENGTH} signs more)")


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], caption: str) -> Html:
    """A table that scrolls inside its own frame where the page is narrow; numbers stand right.

    Args:
        header: names of the columns.
        rows: cells, numbers or texts; None is shown as missing.
        caption: what the rows are.
    """
    kinds = ["number" if rows and _is_number(rows[0][place]) else None for place in range(len(header))]
    names = (element("th", name, scope="col", class_=kind) for name, kind in zip(header, kinds, strict=True))
    head = element("thead", element("tr", *names))
    body = element("tbody", *(element("tr", *(_cell(value) for value in row)) for row in rows))
    found = element("table", element("caption", caption), head, body)
    return element("div", found, class_="scroll", role="region", tabindex="0", aria_label=caption[:80])


def _cell(value: Any) -> Html:
    if isinstance(value, bool):
        return element("td", "yes" if value else "no")
    if _is_number(value):
        return element("td", number(value), class_="number")
    return element("td", MISSING if value is None else value, class_="long" if len(str(value)) > LONG else None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def facts(rows: Iterable[tuple[str, Any]]) -> Html:
    """Names and values, one pair a line; pairs without a value are left out."""
    pairs = [(element("dt", name), element("dd", value)) for name, value in rows if value is not None]
    return element("dl", *(part for pair in pairs for part in pair))


def details(title: str, *children: Any) -> Html:
    """What is folded away until it is asked for; it opens without scripts."""
    return element("details", element("summary", title), *children)


def number(value: Any) -> str:
    """A number as people read it.

    >>> number(353088), number(0.97771), number(4.2e-06), number(None)
    ('353,088', '0.9777', '4.2e-06', '-')
    """
    if not _is_number(value):
        return MISSING if value is None else str(value)
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:,.3g}" if abs(value) < 1e-3 else f"{value:,.0f}"
