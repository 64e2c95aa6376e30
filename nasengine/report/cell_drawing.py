"""Pictures of cells: nodes from left to right, chosen operations as coloured arrows."""

from pathlib import Path
from typing import Any

from nasengine.architecture import CellEdge, CellGenotype
from nasengine.cells.topology import CellTopology
from nasengine.errors import ConfigError
from nasengine.report.chain_drawing import draw_chain
from nasengine.store.artifacts import write_file

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
COLOURS = {
    "none": "#bbbbbb", "noise": "#bbbbbb", "skip_connect": "#7f7f7f", "max_pool_3x3": "#009e73",
    "avg_pool_3x3": "#56b4e9",
    "sep_conv_3x3": "#0072b2", "sep_conv_5x5": "#0b3c6f", "dil_conv_3x3": "#e69f00", "dil_conv_5x5": "#b3541e",
    "nor_conv_1x1": "#cc79a7", "nor_conv_3x3": "#d55e00",
}  # fmt: skip
"""Of arrows; after Okabe and Ito, so that colour-blind people can tell them apart. Every arrow has its name as well."""
INK = "#222222"
Point = tuple[float, float]
STEP = 1.9
ROWS = (0.0, 0.7, -0.75, 1.45, -1.5, 0.4, -0.4)


def draw_cells(topology: CellTopology, genotype: CellGenotype, path: Path, *, title: str) -> None:
    """Write a picture of all cells of a genotype; its type is that of the file name.

    Raises:
        ConfigError: the type is unknown.
    """
    if path.suffix not in PICTURE_SUFFIXES:
        raise ConfigError(f"picture {path}: expected a name that ends in {', '.join(PICTURE_SUFFIXES)}")
    figure = new_figure((6.4 * len(topology.kinds), 4.2))
    axes = figure.subplots(1, len(topology.kinds), squeeze=False)[0]
    for axis, kind in zip(axes, topology.kinds, strict=True):
        draw_cell(axis, topology, genotype.edges(kind), title if len(topology.kinds) == 1 else f"{title}: {kind} cell")
    write_figure(figure, path)


def new_figure(size: tuple[float, float]) -> Any:
    """An empty matplotlib figure that belongs to no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure whole or not at all, in the type that the file name asks for."""
    import io

    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.removeprefix("."), dpi=130)
    write_file(path, content.getvalue())


def draw_cell(axis: Any, topology: CellTopology, edges: tuple[CellEdge, ...], title: str) -> None:
    """Draw one cell into axes; a cell that is a chain of layers is drawn as such."""
    if topology.reach == 1:
        draw_chain(axis, edges, title)
        return
    places = _places(topology)
    labels: list[Point] = []
    for edge in edges:
        labels.append(_draw_arrow(axis, (places[edge.source], places[edge.target]), edge, labels))
    output = max(x for x, _ in places.values()) + STEP
    joined = topology.inputs_per_node is not None  # DARTS cells concatenate all nodes
    if joined:
        for target in topology.targets:
            style = {"arrowstyle": "->", "color": "#dddddd", "lw": 1}
            axis.annotate("", (output, 0.0), places[target], arrowprops=style)
        _draw_box(axis, (output, 0.0), "output", "#fff3d6")
    for node, place in places.items():
        if node < topology.num_inputs:
            _draw_box(axis, place, f"input {node}", "#e4eefb")
        elif not joined and node == topology.targets[-1]:
            _draw_box(axis, place, "output", "#fff3d6")
        else:
            _draw_box(axis, place, str(node), "#ffffff")
    axis.set_title(title, fontsize=11, pad=14)
    axis.set_xlim(-0.7, output + (0.7 if joined else -0.6))
    axis.set_ylim(-2.0, 2.0)
    axis.set_aspect("equal")
    axis.axis("off")


def _places(topology: CellTopology) -> dict[int, Point]:
    inputs = topology.num_inputs
    places = {node: (0.0, 1.3 - 2.6 * node / max(1, inputs - 1) if inputs > 1 else 0.0) for node in range(inputs)}
    for position, node in enumerate(topology.targets):
        places[node] = (
            STEP * (position + 1),
            ROWS[(position + 1) % len(ROWS)] if inputs > 1 else ROWS[position % len(ROWS)],
        )
    return places


def _draw_box(axis: Any, place: Point, text: str, colour: str) -> None:
    box = {"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": "#333333"}
    axis.text(*place, text, ha="center", va="center", fontsize=9, bbox=box, zorder=3)


def _draw_arrow(axis: Any, ends: tuple[Point, Point], edge: CellEdge, labels: list[Point]) -> Point:
    """Draw an edge and its label, the label where it is farthest from those that are there; returns its place."""
    colour = COLOURS.get(edge.operation, "#333333")
    bend = 0.12 * (1 if (edge.source + edge.target) % 2 else -1) * min(3, edge.target - edge.source)
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.8, "connectionstyle": f"arc3,rad={bend}"}
    style |= {"shrinkA": 14, "shrinkB": 14, "linestyle": ":" if edge.operation == "none" else "-"}
    axis.annotate("", ends[1], ends[0], arrowprops=style)
    places = [_on_arc(*ends, bend, share) for share in (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74)]
    place = next((spot for spot in places if all(_is_apart(spot, other) for other in labels)), places[0])
    axis.text(
        *place, edge.operation, color=INK, fontsize=7.5, ha="center", va="center",
        zorder=4, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
    )  # fmt: skip
    return place


def _on_arc(start: Point, end: Point, bend: float, share: float) -> Point:
    """A point of matplotlib's arc3 connection, a quadratic Bezier curve."""
    control = (
        (start[0] + end[0]) / 2 + bend * (end[1] - start[1]),
        (start[1] + end[1]) / 2 - bend * (end[0] - start[0]),
    )
    weights = ((1 - share) ** 2, 2 * share * (1 - share), share**2)
    points = (start, control, end)
    x, y = (sum(weight * point[axis] for weight, point in zip(weights, points, strict=True)) for axis in (0, 1))
    return x, y


def _is_apart(first: Point, second: Point) -> bool:
    return abs(first[0] - second[0]) > 1.25 or abs(first[1] - second[1]) > 0.22
