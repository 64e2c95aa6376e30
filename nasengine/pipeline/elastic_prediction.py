"""The predictor's stage of a search over an elastic supernet: many subnets are scored, few are measured."""

import random
from collections.abc import Sequence

from nasengine.architecture import Architecture
from nasengine.protocols import NetworkConfig, PoolPredictor, SearchSpace, Strategy
from nasengine.randomness import seed_of
from nasengine.strategies import PreFilter

NUM_REFERENCES = 50
FEWEST_CHILDREN = 2


class SubnetScores:
    """Predicted ranks of subnets by their computation graphs, each predicted once.

    Args:
        space: where subnets come from.
        config: size of the supernet.
        predictor: is told random networks of the space as its reference, unless it knows labels of the space.
        seed: of these.
    """

    def __init__(self, space: SearchSpace, config: NetworkConfig, predictor: PoolPredictor, seed: int) -> None:
        self.space, self.config, self.predictor = space, config, predictor
        if not predictor.is_fitted:
            rng = random.Random(seed_of(seed, "pool"))
            drawn = dict.fromkeys(space.sample(rng) for _ in range(NUM_REFERENCES))
            predictor.adapt([space.to_graph(one, config) for one in drawn])
        self._known: dict[Architecture, float] = {}

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """Larger is better."""
        new = [one for one in dict.fromkeys(architectures) if one not in self._known]
        if new:
            found = self.predictor.predict([self.space.to_graph(one, self.config) for one in new])
            self._known.update(zip(new, map(float, found.mean), strict=True))
        return [self._known[one] for one in architectures]


def with_scores(strategy: Strategy, scores: SubnetScores | None, *, pool: int, num_paths: int) -> Strategy:
    """The strategy behind a pre-filter, where there are scores.

    Args:
        strategy: proposes subnets.
        scores: of the predictor, if there is one.
        pool: subnets that it looks at in the whole search, at most, but two for each that is measured.
        num_paths: subnets that are measured.
    """
    if scores is None:
        return strategy
    return PreFilter(strategy, scores, num_children=max(FEWEST_CHILDREN, pool // num_paths))
