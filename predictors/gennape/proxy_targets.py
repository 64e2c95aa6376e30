"""Zero-cost proxies as targets of pretraining: what can be measured of a network that was never trained."""

from collections.abc import Callable, Sequence

import numpy

from nasengine.errors import ConfigError, NasEngineError
from nasengine.graph import ComputationGraph
from nasengine.network import GraphNetwork
from predictors.zero_cost import measure, random_batch

NAMES = ("nwot", "jacov", "synflow", "snip", "grad_norm", "zen")
"""Proxies that are measured; ``measure`` shares passes among them."""
BATCH_SIZE = 16
NUM_CLASSES = 10


def proxy_targets(
    graphs: Sequence[ComputationGraph],
    rows: Sequence[int],
    *,
    seed: int,
    report: Callable[[int], None] = lambda done: None,
) -> numpy.ndarray:
    """Ranks of proxies, (len(graphs), len(NAMES)), from 0 to 1; nan for graphs that were not measured.

    Weights and images are random, so that no data are needed. A proxy that a network does not have is nan as well.

    Args:
        graphs: networks.
        rows: which of them to measure.
        seed: of weights and images.
        report: is told how many were measured.

    Raises:
        ConfigError: none could be measured.
    """
    from scipy.stats import rankdata

    values, last_fault = numpy.full((len(graphs), len(NAMES)), numpy.nan), None
    for done, row in enumerate(rows):
        shape = graphs[row].operations[graphs[row].input_indices[0]].output_shape
        batch = random_batch((shape[0], shape[1], shape[2]), NUM_CLASSES, BATCH_SIZE, seed)
        try:
            found = measure(GraphNetwork(graphs[row], seed), batch, NAMES, seed)
            values[row] = [found[name] for name in NAMES]
        except NasEngineError as fault:  # the row stays unknown, unless all do
            last_fault = fault
        report(done)
    if last_fault is not None and numpy.isnan(values).all():
        raise ConfigError(f"proxies: expected networks that can be measured, got none; the last: {last_fault}")
    for column in values.T:
        known = ~numpy.isnan(column)
        column[known] = (rankdata(column[known]) - 0.5) / max(1, known.sum())
    return values
