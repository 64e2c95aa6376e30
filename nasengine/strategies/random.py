"""Random search: the baseline that every strategy has to beat."""

import random
from collections.abc import Sequence

from nasengine.architecture import Architecture
from nasengine.protocols import Evaluation, SearchSpace


class RandomStrategy:
    """Draws architectures independently and learns nothing.

    Args:
        space: where they are drawn from.
        rng: source of randomness.
    """

    def __init__(self, space: SearchSpace, rng: random.Random) -> None:
        self.space, self.rng = space, rng

    def ask(self, count: int) -> list[Architecture]:
        """Propose architectures."""
        return [self.space.sample(self.rng) for _ in range(count)]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Take note of nothing."""
