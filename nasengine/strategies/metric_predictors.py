"""What is known of metrics of networks that were not measured: exactly from their graphs, or by predictors."""

from collections.abc import Collection, Mapping, Sequence

import numpy

from nasengine.errors import ConfigError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import Prediction, Predictor
from nasengine.strategies.measurements import GRAPH_METRICS, Measurements, graph_metrics
from nasengine.strategies.proposal_pool import GuidanceConfig
from nasengine.targets.constraints import METRICS, Constraints

_MANY = 1e30
"""Stands for an infinite prediction: sums and products with it stay numbers."""
_SURE = 1e-12


class MetricPredictors:
    """Predictors of several metrics, each taught what was measured; predictions are kept until one learns more.

    Args:
        metrics: what is to be known.
        predictors: of each metric that graphs do not tell.
        pretrained: metrics whose predictor is fitted already; it stays as it is.
        config: how many labels the first fit takes, and how many more each other.

    Raises:
        ConfigError: a metric without a predictor.
    """

    def __init__(
        self,
        metrics: Collection[str],
        predictors: Mapping[str, Predictor],
        *,
        pretrained: Collection[str] = (),
        config: GuidanceConfig,
    ) -> None:
        unknown = [name for name in metrics if name not in predictors and name not in GRAPH_METRICS]
        if unknown:
            raise ConfigError(f"search: expected a predictor of {' and of '.join(unknown)}, got {list(predictors)}")
        self.predictors = {name: predictors[name] for name in metrics if name in predictors}
        self.config, self._fitted = config, set(pretrained)
        self._to_teach = [name for name in self.predictors if name not in self._fitted]
        self._num_taught = dict.fromkeys(self._to_teach, 0)
        self._graphs: Sequence[ComputationGraph] = ()
        self._known: dict[str, Prediction] = {}

    def learn(self, measured: Measurements, graphs: Sequence[ComputationGraph]) -> None:
        """Fit what has enough labels; ``nan`` is the label of a network that did not run."""
        for name in self._to_teach:
            values = numpy.array(measured.column(name))
            num_labels = int(numpy.isfinite(values).sum())
            fewest = self.config.num_first_costs if name in METRICS else self.config.num_first
            if num_labels >= fewest and num_labels - self._num_taught[name] >= self.config.refit_every:
                self.predictors[name].fit(graphs, numpy.where(numpy.isfinite(values), values, numpy.nan).tolist())
                self._num_taught[name] = num_labels
                self._fitted.add(name)
                self._known.pop(name, None)

    def can_predict(self, metric: str) -> bool:
        """Whether it is exact, or its predictor was fitted."""
        return metric in self._fitted or metric not in self.predictors

    def predict(self, metric: str, graphs: Sequence[ComputationGraph]) -> Prediction:
        """Mean and standard deviation; the latter is 0 for what graphs tell."""
        if graphs is not self._graphs:
            self._graphs, self._known = graphs, {}
        if metric not in self._known:
            self._known[metric] = self._predicted(metric, graphs)
        return self._known[metric]

    def _predicted(self, metric: str, graphs: Sequence[ComputationGraph]) -> Prediction:
        if metric in self.predictors:
            found = self.predictors[metric].predict(graphs)
            return Prediction(numpy.clip(found.mean, -_MANY, _MANY), found.std)
        values = numpy.array([graph_metrics(graph)[metric] for graph in graphs])
        return Prediction(values, numpy.zeros(len(values)))


def chance_of_keeping(
    constraints: Constraints, predictors: MetricPredictors, graphs: Sequence[ComputationGraph]
) -> numpy.ndarray | None:
    """Probability of keeping all limits that can be judged, taken as independent; None where none can.

    Gelbart, Snoek and Adams, 2014 (arXiv 1403.5607), equation 5; predictions are normal distributions.
    """
    from scipy.special import ndtr

    judged = [limit for limit in constraints.limits if predictors.can_predict(limit.metric)]
    if not judged:
        return None
    chance = numpy.ones(len(graphs))
    for limit in judged:
        found = predictors.predict(limit.metric, graphs)
        room = limit.limit - found.mean
        chance *= numpy.where(found.std > _SURE, ndtr(room / numpy.maximum(found.std, _SURE)), room >= 0)
    return chance
