"""Features of graphs that are asked for again and again, as in a search that fits its predictor many times."""

from collections.abc import Callable, Sequence

import numpy

from nasengine.graph import ComputationGraph


class RememberedFeatures:
    """Works features out once for each graph object, as long as it is among the last that were asked for.

    Args:
        features: blocks of numbers about graphs, (num_graphs, num_features) each.
        size: graphs that are remembered, at most, beside those of the last call.

    >>> remembered = RememberedFeatures(lambda graphs: (numpy.array([[float(len(graph))] for graph in graphs]),))
    >>> from search_spaces.nasbench_macro import NASBENCH_MACRO as space
    >>> graph = space.to_graph(space.parse("00000000"), space.defaults)
    >>> remembered([graph, graph])[0].shape
    (2, 1)
    """

    def __init__(
        self, features: Callable[[Sequence[ComputationGraph]], tuple[numpy.ndarray, ...]], size: int = 2_000
    ) -> None:
        self.features, self.size = features, size
        self._known: dict[int, tuple[ComputationGraph, tuple[numpy.ndarray, ...]]] = {}

    def __call__(self, graphs: Sequence[ComputationGraph]) -> tuple[numpy.ndarray, ...]:
        """Features of some graphs, in their order."""
        new = list({id(graph): graph for graph in graphs if id(graph) not in self._known}.values())
        if new:
            blocks = self.features(new)
            for index, graph in enumerate(new):  # the graph is kept, so that its id is not given to another
                self._known[id(graph)] = (graph, tuple(block[index] for block in blocks))
        rows = [self._known[id(graph)][1] for graph in graphs]
        for key in list(self._known)[: -self.size]:
            del self._known[key]
        return tuple(numpy.stack(columns) for columns in zip(*rows, strict=True))
