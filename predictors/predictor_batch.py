"""Networks as all predictors see them, whatever they came from: a space, a module or an ONNX file."""

from collections.abc import Sequence

import numpy

from nasengine.graph import ComputationGraph
from predictors import graph_features, wiring_features
from predictors.graph_batch import GraphBatch
from predictors.live_nodes import live_part

FEATURE_NAMES = (*graph_features.NAMES, *wiring_features.NAMES)
"""Names of the features, in order."""


def predictor_batch(graphs: Sequence[ComputationGraph]) -> GraphBatch:
    """Arrays of graphs as exporters write them, without what their outputs do not see."""
    return live_part(GraphBatch.of(graphs, as_exported=True))


def predictor_features(batch: GraphBatch) -> numpy.ndarray:
    """Costs, counts, paths and wiring of whole graphs, (num_graphs, len(FEATURE_NAMES))."""
    return numpy.hstack([graph_features.graph_features(batch), wiring_features.wiring_features(batch)])
