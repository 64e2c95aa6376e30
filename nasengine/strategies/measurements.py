"""Measured architectures with all metrics that limits and objectives ask for, and which of them may be an answer."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.graph.cost import cost
from nasengine.protocols import Evaluation
from nasengine.strategies.objectives import Objective, point_of
from nasengine.strategies.trade_offs import front
from nasengine.strategies.unseen import SeenArchitectures
from nasengine.targets.constraints import METRICS, Constraints

GRAPH_METRICS = ("macs", "num_parameters", "peak_bytes")
"""What a graph alone tells; ``peak_bytes`` are those of float32 activations, see ``GraphCost``."""

GraphOf = Callable[[Architecture], ComputationGraph]


def graph_metrics(graph: ComputationGraph) -> dict[str, float]:
    """Values of ``GRAPH_METRICS``.

    >>> from nasengine.graph import GraphBuilder
    >>> builder = GraphBuilder()
    >>> last = builder.add("linear", builder.input((3,)), name="classifier", features=2)
    >>> graph = builder.build(last)
    >>> graph_metrics(graph)["macs"]
    6.0
    """
    total = cost(graph)
    return {
        "macs": float(total.macs), "num_parameters": float(total.num_parameters),
        "peak_bytes": float(total.peak_activation_bytes),
    }  # fmt: skip


def completed(evaluation: Evaluation, wanted: Collection[str], graph_of: GraphOf) -> Evaluation:
    """An evaluation with the wanted metrics that were not measured and that the graph tells.

    A latency or size that is ``nan``, of a network that does not run, becomes infinite: no limit lets it pass.

    Raises:
        ConfigError: a wanted metric was not measured, and no graph tells it.
    """
    missing = [name for name in wanted if name not in evaluation.metrics]
    if any(name not in GRAPH_METRICS for name in missing):
        raise ConfigError(
            f"evaluation: expected metrics {', '.join(wanted)}, got {', '.join(evaluation.metrics) or 'none'}"
        )
    known = graph_metrics(graph_of(evaluation.architecture)) if missing else {}
    metrics = {**evaluation.metrics, **{name: known[name] for name in missing}}
    does_not_run = {name: math.inf for name in wanted if name in METRICS and math.isnan(metrics[name])}
    return replace(evaluation, metrics={**metrics, **does_not_run})


class Measurements:
    """What was measured, in order; failed evaluations have no place here.

    Args:
        objectives: what counts; of answers the first decides, then the second, and so on.
        constraints: limits that answers keep.
        graph_of: the graph of an architecture, for metrics that were not measured.
    """

    def __init__(self, objectives: Sequence[Objective], constraints: Constraints, graph_of: GraphOf) -> None:
        self.objectives, self.constraints, self.graph_of = tuple(objectives), constraints, graph_of
        counted, limited = (entry.metric for entry in self.objectives), (entry.metric for entry in constraints.limits)
        self.wanted = tuple(dict.fromkeys([*counted, *limited]))
        self.evaluations: list[Evaluation] = []
        self._points: list[list[float]] = []
        self._violations: list[float] = []

    def __len__(self) -> int:
        return len(self.evaluations)

    def add(self, evaluation: Evaluation) -> None:
        """Keep an evaluation that did not fail.

        Raises:
            ConfigError: an objective or a limited metric was not measured.
        """
        found = completed(evaluation, self.wanted, self.graph_of)
        self.evaluations.append(found)
        self._points.append(point_of(found.metrics, self.objectives))
        self._violations.append(self.constraints.violation(found.metrics))

    def take(self, evaluations: Sequence[Evaluation], seen: SeenArchitectures) -> list[int]:
        """Keep those that did not fail, and count all as seen.

        Returns:
            The places of those that are kept.

        Raises:
            ConfigError: an objective or a limited metric was not measured.
        """
        first = len(self)
        for evaluation in evaluations:
            seen.add(evaluation.architecture)
            if evaluation.failure is None:
                self.add(evaluation)
        return list(range(first, len(self)))

    @property
    def points(self) -> numpy.ndarray:
        """Objectives of each, all to be large, (num_evaluations, num_objectives)."""
        return numpy.array(self._points, float).reshape(len(self), len(self.objectives))

    @property
    def violations(self) -> numpy.ndarray:
        """By how much each exceeds the limits, 0 where it keeps them, (num_evaluations,)."""
        return numpy.array(self._violations, float)

    @property
    def kept(self) -> numpy.ndarray:
        """Places of those that keep all limits."""
        return numpy.flatnonzero(self.violations == 0)

    @property
    def front(self) -> numpy.ndarray:
        """Places of those that keep all limits and that none of them dominates."""
        return numpy.asarray(self.kept[front(self.points[self.kept])])

    def column(self, metric: str) -> list[float]:
        """One wanted metric of all."""
        return [found.metrics[metric] for found in self.evaluations]

    def best(self) -> Evaluation | None:
        """The best that keeps all limits, the first of equals; None while nothing does."""
        place = max(self.kept.tolist(), key=self._points.__getitem__, default=None)
        return None if place is None else self.evaluations[place]

    def nearest(self) -> Evaluation:
        """The best; while nothing keeps the limits, what exceeds them least (``Constraints.misses`` says by how much).

        Raises:
            ConfigError: nothing was measured.
        """
        if not self.evaluations:
            raise ConfigError("search: expected at least one measured network, got none; call tell() first")
        return self.best() or self.evaluations[int(numpy.argmin(self.violations))]
