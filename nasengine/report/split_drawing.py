"""Pictures of splits: distances between candidates, the groups that came of them, and how the leaves did."""

from typing import Any

MAX_MATRICES = 7
WINNER_COLOUR, LEAF_COLOUR = "#d62728", "#1f77b4"


def draw_matrix(axis: Any, split: dict[str, Any], title: str, *, font_size: float = 5) -> None:
    """Distances between the candidates of the edge that was split, ordered by group, with lines between groups.

    Args:
        axis: to draw on.
        split: of one part, as the journal has it.
        title: above the picture.
        font_size: of the numbers, in points.
    """
    order = [name for group in split["groups"] for name in group]
    axis.set_title(title, fontsize=max(9, font_size))
    if "distance" not in split:
        axis.axis("off")
        text = "\n\n".join("\n".join(group) for group in split["groups"])
        axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=font_size + 2)
        return
    places = [split["candidates"].index(name) for name in order]
    values = [[split["distance"][row][column] for column in places] for row in places]
    shown = [
        [value if row != column else float("nan") for column, value in enumerate(line)]
        for row, line in enumerate(values)
    ]
    image = axis.imshow(shown, cmap="cividis")
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            if row != column:
                ink = _ink(image, value)
                axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=font_size, color=ink)
    border = -0.5
    for group in split["groups"][:-1]:
        border += len(group)
        axis.axhline(border, color=WINNER_COLOUR, lw=1.5)
        axis.axvline(border, color=WINNER_COLOUR, lw=1.5)
    axis.set_xticks([])
    axis.set_yticks(range(len(order)), order, fontsize=font_size + 1)


def _ink(image: Any, value: float) -> str:
    """Black or white, whichever is read more easily on the colour of a value (WCAG 2, relative luminance)."""
    shades = image.to_rgba(value)[:3]
    linear = [shade / 12.92 if shade <= 0.04045 else ((shade + 0.055) / 1.055) ** 2.4 for shade in shades]
    luminance = sum(weight * shade for weight, shade in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "black" if luminance > 0.179 else "white"


def titles(splits: list[dict[str, Any]], edges: tuple[tuple[int, int], ...]) -> list[tuple[str, dict[str, Any]]]:
    """Every split with a title that names level, part, place and value; edges that are not given have numbers."""
    found = []
    for level in splits:
        for number, part in enumerate(level["parts"]):
            kind, edge = part["edge"]
            ends = "{}-{}".format(*edges[edge]) if edge < len(edges) else f"edge {edge}"
            where = part.get("place", f"{kind} {ends}")
            value = part.get("values", {}).get(f"{kind} {edge}")
            batches = part.get("num_batches", {}).get(f"{kind} {edge}")
            measured = "" if value is None else f"\ncut {value:.3f}, {batches} batches"
            found.append((f"level {level['level'] + 1}, part {number}: {where}{measured}", part))
    return found


def draw_leaves(axis: Any, summary: dict[str, Any]) -> None:
    """Accuracies of what each leaf proposed when it left the race; test accuracies are marked as an oracle's view."""
    rows = summary["leaves"]
    axis.set_title("leaves, when they left the race", fontsize=9)
    for place, row in enumerate(rows):
        is_winner = row["genotype"] == summary["winner"]["genotype"]
        colour = WINNER_COLOUR if is_winner else LEAF_COLOUR
        axis.plot(row["validation_accuracy"], place, "o", color=colour)
        axis.plot(row["oracle_test_accuracy"], place, "D", markerfacecolor="none", color=colour)
    axis.plot([], [], "o", color="#555555", label="validation (decides)")
    axis.plot([], [], "D", markerfacecolor="none", color="#555555", label="test (oracle, decides nothing)")
    labels = [f"leaf {row['leaf']}" + (", predicted" if row.get("is_predicted") else "") for row in rows]
    for leaf in summary["failed_leaves"]:
        axis.plot([], [], "x", color="#555555", label=f"leaf {leaf} failed")
    axis.set_yticks(range(len(rows)), labels, fontsize=8)
    axis.set_ylim(-0.6, max(len(rows) - 0.4, 0.6) + 0.6)
    axis.set_xlabel("accuracy", fontsize=8)
    axis.legend(frameon=False, fontsize=6, loc="upper left")
    axis.grid(alpha=0.3, axis="x")
