"""Reads a page as strictly as a browser does not: every tag closed, every name once."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "col"}


@dataclass
class Element:
    """A tag with its attributes, the words directly or indirectly in it, and the tags in it."""

    tag: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def all(self, tag: str) -> list["Element"]:
        """Elements of a kind, anywhere inside, in order."""
        found = []
        for child in self.children:
            found += [child] * (child.tag == tag) + child.all(tag)
        return found

    def every(self) -> list["Element"]:
        """All elements inside, in order."""
        return [found for child in self.children for found in (child, *child.every())]


class StrictParser(HTMLParser):
    """Fails where tags do not match."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag, attrs) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice in {tag}"
        found = Element(tag, dict(attrs))
        self.open[-1].children.append(found)
        if tag not in VOID:
            self.open.append(found)

    def handle_startendtag(self, tag, attrs) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag) -> None:
        assert self.open[-1].tag == tag, f"expected </{self.open[-1].tag}>, got </{tag}>"
        self.open.pop()

    def handle_data(self, data) -> None:
        for element in self.open:
            element.words.append(data)


def parsed(page: str) -> Element:
    """The page as a tree."""
    parser = StrictParser()
    parser.feed(page)
    parser.close()
    assert parser.open == [parser.root]
    return parser.root


def rows_of(page: Element, name: str) -> list[list[str]]:
    """Cells of the table under the picture of a name."""
    figures = [figure for figure in page.all("figure") if figure.all("title")[0].attributes["id"] == f"{name}-words"]
    assert len(figures) == 1, f"expected one picture {name}, got {len(figures)}"
    return [[cell.text for cell in row.all("td")] for row in figures[0].all("tbody")[0].all("tr")]
