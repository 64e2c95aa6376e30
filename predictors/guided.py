"""``--strategy predictor_guided`` and ``pareto_guided``: searches with predictors that learn from a few dozen labels.

The strategies themselves are in ``nasengine``, which knows no predictor.
"""

import random
from typing import Any

from nasengine.protocols import Predictor, SearchSpace
from nasengine.strategies import ACCURACY_AND_MACS, GRAPH_METRICS, NO_LIMITS, ParetoGuided, PredictorGuided
from predictors.gaussian_process import GraphGaussianProcess, feature_blocks
from predictors.latency.latency_predictor import LatencyPredictor, features_of
from predictors.remembered_features import RememberedFeatures


def predictor_guided(space: SearchSpace, rng: random.Random, **settings: Any) -> PredictorGuided:
    """A ``PredictorGuided`` whose predictor is a Gaussian process, unless ``settings`` name another.

    Limited metrics that graphs do not tell get a predictor too.
    """
    settings.setdefault("predictor", GraphGaussianProcess(RememberedFeatures(feature_blocks)))
    limited = [limit.metric for limit in settings.get("constraints", NO_LIMITS).limits]
    settings["cost_predictors"] = {**_predictors_of(limited), **settings.get("cost_predictors", {})}
    return PredictorGuided(space, rng, **settings)


def pareto_guided(space: SearchSpace, rng: random.Random, **settings: Any) -> ParetoGuided:
    """A ``ParetoGuided`` with a predictor of every metric that graphs do not tell, unless ``settings`` name others."""
    objectives = [entry.metric for entry in settings.get("objectives", ACCURACY_AND_MACS)]
    limited = [limit.metric for limit in settings.get("constraints", NO_LIMITS).limits]
    settings["predictors"] = {**_predictors_of([*objectives, *limited]), **settings.get("predictors", {})}
    return ParetoGuided(space, rng, **settings)


def _predictors_of(metrics: list[str]) -> dict[str, Predictor]:
    unknown = [name for name in metrics if name not in GRAPH_METRICS]
    return {
        name: LatencyPredictor(features=RememberedFeatures(features_of))
        if name == "latency_ms"
        else GraphGaussianProcess(RememberedFeatures(feature_blocks))
        for name in unknown
    }
