"""Any strategy, whose proposals a predictor looks at before they cost a measurement.

Of several proposals the one with the best score is measured, as in the searches with GENNAPE (Mills et al., 2023,
arXiv 2211.17226): scoring a graph takes milliseconds, measuring a subnet a hundred times as long.
"""

from collections.abc import Callable, Sequence

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.protocols import Evaluation, Strategy

Score = Callable[[Sequence[Architecture]], Sequence[float]]


class PreFilter:
    """Passes on the best of every few proposals; the others are reported to the strategy as failed.

    Args:
        strategy: proposes.
        score: of architectures; larger is better.
        num_children: proposals of which one is passed on.

    Raises:
        ConfigError: fewer than one.

    >>> import random
    >>> from nasengine.strategies import RandomStrategy
    >>> from search_spaces.nasbench_macro import NASBENCH_MACRO as space
    >>> deep = lambda found: [space.format(one).count("2") for one in found]
    >>> strategy = PreFilter(RandomStrategy(space, random.Random(0)), deep, num_children=50)
    >>> deep(strategy.ask(1))[0] >= 4
    True
    """

    def __init__(self, strategy: Strategy, score: Score, *, num_children: int) -> None:
        if num_children < 1:
            raise ConfigError(f"pre-filter: expected at least one proposal to choose from, got {num_children}")
        self.strategy, self.score, self.num_children = strategy, score, num_children

    def ask(self, count: int) -> list[Architecture]:
        """The best of as many times ``num_children`` proposals, best first; each once where there are enough."""
        proposed = list(dict.fromkeys(self.strategy.ask(count * self.num_children)))
        scores = self.score(proposed)
        order = sorted(range(len(proposed)), key=lambda index: -scores[index])  # stable
        kept = [proposed[index] for index in order[:count]]
        dropped = [proposed[index] for index in order[count:]]
        self.strategy.tell([Evaluation(one, {}, failure="predicted to be worse") for one in dropped])
        return [kept[place % len(kept)] for place in range(count)]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Pass measured architectures on."""
        self.strategy.tell(evaluations)
