"""``--strategy predictor_guided``: the search of nasengine with a predictor that learns from a few dozen labels."""

import random
from typing import Any

from nasengine.protocols import SearchSpace
from nasengine.strategies import PredictorGuided
from predictors.gaussian_process import GraphGaussianProcess


def predictor_guided(space: SearchSpace, rng: random.Random, **settings: Any) -> PredictorGuided:
    """A ``PredictorGuided`` whose predictor is a Gaussian process, unless ``settings`` name another.

    The strategy itself is in ``nasengine``, which knows no predictor.
    """
    settings.setdefault("predictor", GraphGaussianProcess())
    return PredictorGuided(space, rng, **settings)
