"""Latency that several processes of one run agree about."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import torch

from nasengine.graph import ComputationGraph
from nasengine.optimization import from_first_process, is_first_process
from nasengine.protocols import LatencyModel, Prediction


@dataclass(frozen=True)
class FirstProcessLatency:
    """What the first process measures counts for all: two measurements of one network would differ.

    Args:
        model: measures.
    """

    model: LatencyModel

    def predict(self, graphs: Sequence[ComputationGraph]) -> Prediction:
        """Milliseconds of one image, the same in all processes."""
        values = torch.zeros(2, len(graphs), dtype=torch.float64)
        if is_first_process():
            found = self.model.predict(graphs)
            values = torch.from_numpy(numpy.array([found.mean, found.std], dtype=numpy.float64))
        mean, std = from_first_process(values).numpy()
        return Prediction(mean, std)
