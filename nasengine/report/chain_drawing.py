"""Pictures of chains: layers one after the other, in rows, each a box with the name of its candidate."""

from collections.abc import Sequence
from typing import Any

from nasengine.architecture import CellEdge

IN_A_ROW = 8
WIDTH, HEIGHT = 1.5, 0.9
NOTHING = ("skip", "identity")
LAYER_COLOUR, NOTHING_COLOUR, INK = "#cfe3f5", "#f2f2f2", "#222222"


def draw_chain(axis: Any, edges: Sequence[CellEdge], title: str) -> None:
    """Draw the layers of a chain into axes; layers that do nothing are pale."""
    for layer, edge in enumerate(edges):
        row, column = divmod(layer, IN_A_ROW)
        colour = NOTHING_COLOUR if edge.operation in NOTHING else LAYER_COLOUR
        box = {"boxstyle": "round,pad=0.3", "facecolor": colour, "edgecolor": "#333333", "linewidth": 0.8}
        axis.text(
            column * WIDTH, -row * HEIGHT, edge.operation, ha="center", va="center", fontsize=8, color=INK, bbox=box
        )
        if column == 0:
            axis.text(-0.75 * WIDTH, -row * HEIGHT, f"{layer + 1}", ha="right", va="center", fontsize=7, color=INK)
    rows = -(-len(edges) // IN_A_ROW)
    axis.set_title(title, fontsize=11, pad=14)
    axis.set_xlim(-1.2 * WIDTH, (IN_A_ROW - 0.3) * WIDTH)
    axis.set_ylim(-(rows - 0.3) * HEIGHT, 0.7 * HEIGHT)
    axis.axis("off")
