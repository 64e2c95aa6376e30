"""Any strategy, kept inside limits that are known without an evaluation."""

from collections.abc import Callable, Sequence

from nasengine.architecture import Architecture
from nasengine.protocols import Evaluation, Strategy

MAX_REFUSED = 200


class WithinLimits:
    """Passes on what keeps the limits; the rest is reported to the strategy as failed, and it is asked again.

    Args:
        strategy: proposes.
        is_kept: whether an architecture keeps all limits.
        known: architectures that do; they take their turn where the strategy finds none in 200 proposals.
    """

    def __init__(
        self, strategy: Strategy, is_kept: Callable[[Architecture], bool], known: Sequence[Architecture]
    ) -> None:
        self.strategy, self.is_kept, self.known = strategy, is_kept, tuple(known)
        self._turn = 0

    def ask(self, count: int) -> list[Architecture]:
        """Architectures that keep the limits."""
        return [self._next() for _ in range(count)]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Pass measured architectures on."""
        self.strategy.tell(evaluations)

    def _next(self) -> Architecture:
        for _ in range(MAX_REFUSED):
            (found,) = self.strategy.ask(1)
            if self.is_kept(found):
                return found
            self.strategy.tell([Evaluation(found, {}, failure="exceeds a limit")])
        self._turn += 1
        return self.known[(self._turn - 1) % len(self.known)]
