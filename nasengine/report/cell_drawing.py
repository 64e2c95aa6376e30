"""Pictures of cells: nodes from left to right, chosen operations as coloured arrows."""

from pathlib import Path
from typing import Any

from nasengine.architecture import CellEdge, CellGenotype
from nasengine.cells.topology import CellTopology
from nasengine.errors import ConfigError
from nasengine.store.artifacts import write_file

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
COLOURS = {
    "none": "#bbbbbb", "noise": "#bbbbbb", "skip_connect": "#7f7f7f", "max_pool_3x3": "#2ca02c", "avg_pool_3x3": "#98df8a",
    "sep_conv_3x3": "#1f77b4", "sep_conv_5x5": "#0b3c6f", "dil_conv_3x3": "#ff7f0e", "dil_conv_5x5": "#b3541e",
    "nor_conv_1x1": "#9467bd", "nor_conv_3x3": "#d62728",
}  # fmt: skip
ROWS = (0.0, 1.0, -0.9, 1.6, -1.5, 0.5, -0.4)


def draw_cells(topology: CellTopology, genotype: CellGenotype, path: Path, *, title: str) -> None:
    """Write a picture of all cells of a genotype; its type is that of the file name.

    Raises:
        ConfigError: the type is unknown.
    """
    if path.suffix not in PICTURE_SUFFIXES:
        raise ConfigError(f"picture {path}: expected a name that ends in {', '.join(PICTURE_SUFFIXES)}")
    figure, axes = new_figure((6.4 * len(topology.kinds), 4.0), columns=len(topology.kinds))
    for axis, kind in zip(axes, topology.kinds, strict=True):
        draw_cell(axis, topology, genotype.edges(kind), f"{title}: {kind} cell" if kind != "cell" else title)
    write_figure(figure, path)


def new_figure(size: tuple[float, float], rows: int = 1, columns: int = 1) -> tuple[Any, list[Any]]:
    """A matplotlib figure that belongs to no window, and its axes, row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure whole or not at all, in the type that the file name asks for."""
    import io

    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.removeprefix("."), dpi=130)
    write_file(path, content.getvalue())


def draw_cell(axis: Any, topology: CellTopology, edges: tuple[CellEdge, ...], title: str) -> None:
    """Draw one cell into axes."""
    places = _places(topology)
    for edge in edges:
        _draw_arrow(axis, places[edge.source], places[edge.target], edge)
    output = max(x for x, _ in places.values()) + 1.6
    joined = topology.inputs_per_node is not None  # DARTS cells concatenate all nodes
    if joined:
        for target in topology.targets:
            axis.annotate("", (output, 0.0), places[target], arrowprops={"arrowstyle": "->", "color": "#dddddd", "lw": 1})
        _draw_box(axis, (output, 0.0), "output", "#fff3d6")
    for node, place in places.items():
        is_input = node < topology.num_inputs
        last = not joined and node == topology.targets[-1]
        _draw_box(axis, place, f"input {node}" if is_input else "output" if last else str(node), "#e4eefb" if is_input else "#ffffff")
    axis.set_title(title, fontsize=11)
    axis.set_xlim(-0.9, output + (0.9 if joined else -0.6))
    axis.set_ylim(-2.1, 2.2)
    axis.axis("off")


def _places(topology: CellTopology) -> dict[int, tuple[float, float]]:
    inputs = topology.num_inputs
    places = {node: (0.0, 1.1 - 2.2 * node / max(1, inputs - 1) if inputs > 1 else 0.0) for node in range(inputs)}
    for position, node in enumerate(topology.targets):
        places[node] = (1.7 * (position + 1), ROWS[(position + 1) % len(ROWS)] if inputs > 1 else ROWS[position])
    return places


def _draw_box(axis: Any, place: tuple[float, float], text: str, colour: str) -> None:
    box = {"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": "#333333"}
    axis.text(*place, text, ha="center", va="center", fontsize=9, bbox=box, zorder=3)


def _draw_arrow(axis: Any, start: tuple[float, float], end: tuple[float, float], edge: CellEdge) -> None:
    colour = COLOURS.get(edge.operation, "#333333")
    bend = 0.12 * (1 if (edge.source + edge.target) % 2 else -1) * min(3, edge.target - edge.source)
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.8, "connectionstyle": f"arc3,rad={bend}"}
    style |= {"shrinkA": 14, "shrinkB": 14, "linestyle": ":" if edge.operation == "none" else "-"}
    axis.annotate("", end, start, arrowprops=style)
    share = 0.5
    middle = (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
    # The middle of the arc lies to the right of the chord for positive bends.
    shift = (bend * (end[1] - start[1]) / 2, -bend * (end[0] - start[0]) / 2)
    axis.text(
        middle[0] + shift[0], middle[1] + shift[1], edge.operation, color=colour, fontsize=7.5, ha="center", va="center",
        zorder=4, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
    )  # fmt: skip
