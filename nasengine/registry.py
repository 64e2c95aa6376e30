"""Finds search spaces, predictors, strategies, exporters and datasets among the installed packages.

Built-ins use the same door as outsiders: an entry point. Nothing is loaded before it is asked for.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from nasengine.errors import ConfigError, UnknownNameError

GROUPS = {
    "search space": "nasengine.search_spaces",
    "predictor": "nasengine.predictors",
    "predictor file": "nasengine.predictor_files",  # readers, by the suffix of what they read
    "strategy": "nasengine.strategies",
    "exporter": "nasengine.exporters",
    "dataset": "nasengine.datasets",
    "latency model": "nasengine.latency_models",
    "latency file": "nasengine.latency_files",  # readers, by the suffix of what they read
}


@cache
def _found(what: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUPS[what])}


def names(what: str) -> list[str]:
    """Names of everything of a kind (a key of GROUPS) that is installed."""
    return sorted(_found(what))


def load(what: str, name: str) -> Any:
    """The object that an entry point names.

    Raises:
        UnknownNameError: nothing has this name.
        ConfigError: the package that offers it cannot be imported.
    """
    points = _found(what)
    if name not in points:
        raise UnknownNameError(what, name, points)
    try:
        return points[name].load()
    except (ImportError, AttributeError) as fault:
        raise ConfigError(
            f"{what} {name!r}: its package offers {points[name].value}, which fails to load: {fault}"
        ) from fault
