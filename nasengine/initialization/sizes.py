"""Depth and width of networks, whichever way their search space states them."""

from collections.abc import Mapping
from dataclasses import replace

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import NetworkConfig, Resizable, SearchSpace


def resized(
    space: SearchSpace,
    architecture: Architecture,
    config: NetworkConfig,
    *,
    depth: int | None = None,
    width: int | None = None,
) -> tuple[Architecture, NetworkConfig]:
    """What builds the same network with another depth or width.

    Args:
        space: of the architecture; where it is no ``Resizable``, its networks take their sizes from ``config``.
        architecture: stays as it is unless it holds the sizes.
        config: sizes so far.
        depth: blocks of a transformer, otherwise ``config.cells``; None leaves it.
        width: embedding of a transformer, otherwise ``config.channels``; None leaves it.

    Raises:
        ConfigError: a depth or width below 1.
        GenotypeError: the space has no such network.

    >>> from search_spaces.nasbench201 import NASBENCH201 as space
    >>> import random
    >>> _, config = resized(space, space.sample(random.Random(0)), space.defaults, depth=7)
    >>> config.cells, config.channels
    (7, 16)
    """
    given = {"depth": depth, "width": width}
    faults = [
        f"{name}: expected at least 1, got {size}" for name, size in given.items() if size is not None and size < 1
    ]
    if faults:
        raise ConfigError(faults)
    if isinstance(space, Resizable):
        return space.resized(architecture, config, depth=depth, width=width)
    cells, channels = config.cells if depth is None else depth, config.channels if width is None else width
    return architecture, replace(config, cells=cells, channels=channels)


def sizes_of(space: SearchSpace, architecture: Architecture, config: NetworkConfig) -> tuple[int, int]:
    """Depth and width, as ``resized`` takes them.

    >>> from search_spaces.nasbench201 import NASBENCH201 as space
    >>> import random
    >>> sizes_of(space, space.sample(random.Random(0)), space.defaults)
    (5, 16)
    """
    return space.sizes(architecture) if isinstance(space, Resizable) else (config.cells, config.channels)


def check_distinct(graphs: Mapping[tuple[int, int], ComputationGraph]) -> None:
    """See that networks of different sizes differ: spaces whose architectures are whole networks have one depth.

    Args:
        graphs: by depth and width; the size of the network that they come from among them.

    Raises:
        ConfigError: two sizes that are one network.
    """
    known: dict[ComputationGraph, tuple[int, int]] = {}
    for size, graph in graphs.items():
        other = known.setdefault(graph, size)
        if other == size:
            continue
        name, index = ("depth", 0) if other[0] != size[0] else ("width", 1)
        raise ConfigError(
            f"sizes: expected a {name} to change the network, got the same one at {name}s {other[index]} and "
            f"{size[index]}; networks of this space have a {name} of their own, so leave --{name}s out"
        )
