"""Networks as users name them, and tables of their results."""

from collections.abc import Callable
from pathlib import Path

from nasengine import registry
from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph
from nasengine.tracing import graph_from_onnx
from predictors.results_table import Columns, ResultsTable, read_results


def network_reader(space: str | None, folder: Path) -> Callable[[str], ComputationGraph]:
    """Reads a network: the path of an ONNX file, or a genotype."""
    found = None if space is None else registry.load("search space", space)

    def read(text: str) -> ComputationGraph:
        if text.endswith(".onnx") or (found is None and _exists(folder / text)):
            return graph_from_onnx(folder / text)
        if found is None:
            raise ConfigError(
                f"network {text[:60]!r}: expected the path of an ONNX file, or --space for a genotype, "
                "got no such file and no space"
            )
        return found.to_graph(found.parse(text), found.defaults)

    return read


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long for a name
        return False


def read_table(path: Path, columns: Columns, space: str | None) -> ResultsTable:
    return read_results(path, columns, network_reader(space, path.parent))


def columns_of(network: str, label: str, proxies: str) -> Columns:
    return Columns(network, label, tuple(name.strip() for name in proxies.split(",")) if proxies else ())
