"""What every predictor asks of the labels that it learns from."""

from collections.abc import Sequence

import numpy

from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph


def checked_labels(graphs: Sequence[ComputationGraph], labels: Sequence[float], minimum: int) -> numpy.ndarray:
    """Labels as an array, (num_graphs,).

    Raises:
        ConfigError: fewer than ``minimum`` graphs, another number of labels, or one that is not finite.
    """
    values = numpy.asarray(labels, dtype=float)
    if len(graphs) < minimum or values.shape != (len(graphs),) or not numpy.isfinite(values).all():
        raise ConfigError(
            f"predictor: expected at least {minimum} networks and one finite label for each, "
            f"got {len(graphs)} networks and {int(numpy.isfinite(values).sum())} finite labels"
        )
    return values
