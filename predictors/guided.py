"""``--strategy predictor_guided``: the search of nasengine with a predictor that learns from a few dozen labels."""

import random
from typing import Any

from nasengine.protocols import SearchSpace
from nasengine.strategies import PredictorGuided
from predictors.gaussian_process import GraphGaussianProcess, feature_blocks
from predictors.remembered_features import RememberedFeatures


def predictor_guided(space: SearchSpace, rng: random.Random, **settings: Any) -> PredictorGuided:
    """A ``PredictorGuided`` whose predictor is a Gaussian process, unless ``settings`` name another.

    The strategy itself is in ``nasengine``, which knows no predictor.
    """
    settings.setdefault("predictor", GraphGaussianProcess(RememberedFeatures(feature_blocks)))
    return PredictorGuided(space, rng, **settings)
