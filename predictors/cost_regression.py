"""The baseline that every learned predictor has to beat: regression on what a graph costs and contains.

Ridge regression with evidence-based regularisation (MacKay, 1992) on logarithms of macs, parameters and activation
memory, on depth, and on counts of primitive operations. White et al., 2022 (arXiv 2210.03230) show how much of what
zero-cost proxies know is in such features.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy

from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph, cost
from nasengine.graph.shapes import KINDS
from nasengine.protocols import Prediction
from predictors.labels import checked_labels

_KINDS = sorted(KINDS)
_CONV_KERNELS = (1, 3, 5, 7)


class CostRegression:
    """Implements the Predictor protocol.

    >>> from search_spaces.nasbench201 import NASBENCH201 as space
    >>> import itertools
    >>> graphs = [space.to_graph(found, space.defaults) for found in itertools.islice(space.enumerate(), 50)]
    >>> predictor = CostRegression()
    >>> predictor.fit(graphs, [float(cost(graph).macs) for graph in graphs])
    >>> predictor.predict(graphs[:2]).mean.shape
    (2,)
    """

    def __init__(self) -> None:
        from sklearn.linear_model import BayesianRidge
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._model = make_pipeline(StandardScaler(), BayesianRidge())
        self._fitted = False

    def fit(self, graphs: Sequence[ComputationGraph], targets: Sequence[float]) -> None:
        """Learn from measured graphs.

        Raises:
            ConfigError: fewer than three graphs, or another number of targets, or a target that is not finite.
        """
        values = checked_labels(graphs, targets, minimum=3)
        self._model.fit(_features(graphs), values)
        self._fitted = True

    def predict(self, graphs: Sequence[ComputationGraph]) -> Prediction:
        """Score graphs, with the standard deviation of the posterior.

        Raises:
            ConfigError: called before ``fit``.
        """
        if not self._fitted:
            raise ConfigError("predictor: expected fit() before predict()")
        mean, std = self._model.predict(_features(graphs), return_std=True)
        return Prediction(mean, std)


def _features(graphs: Sequence[ComputationGraph]) -> numpy.ndarray:
    return numpy.array([_row(graph) for graph in graphs])


def _row(graph: ComputationGraph) -> list[float]:
    total = cost(graph)
    counts = Counter(operation.kind for operation in graph.operations)
    kernels = Counter(operation.kernel[0] for operation in graph.operations if operation.kind == "conv")
    depth = [0] * len(graph)
    for node, sources in enumerate(graph.inputs):
        depth[node] = 1 + max((depth[source] for source in sources), default=0)
    logs = [math.log1p(value) for value in (total.macs, total.num_parameters, total.peak_activation_bytes)]
    return [
        *logs,
        float(max(depth[output] for output in graph.outputs)),
        *(float(counts[kind]) for kind in _KINDS),
        *(float(kernels[size]) for size in _CONV_KERNELS),
    ]
