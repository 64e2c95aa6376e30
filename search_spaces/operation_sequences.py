"""Sequences of operations as Two-Path and Inception have them (Mills et al., 2023, arXiv 2211.17226, and its code)."""

import random
from dataclasses import dataclass

Operations = tuple[str, ...]


@dataclass(frozen=True)
class OperationSequences:
    """Rule: at least one operation is a main one, at most one is a supporting one, in any order.

    Args:
        main: operations that can change the size of images.
        supporting: operations that cannot.

    >>> rule = OperationSequences(main=("conv", "double"), supporting=("pool",))
    >>> rule.fault(("pool", "conv")), rule.fault(("pool",))
    (None, 'expected one of conv, double among the operations, got pool')
    >>> rule.count(2)
    8
    """

    main: Operations
    supporting: Operations

    def count(self, length: int) -> int:
        """Number of sequences of a length."""
        num_main = len(self.main)
        mixed = length * num_main ** (length - 1) * len(self.supporting) if length > 1 else 0
        return num_main**length + mixed

    def fault(self, operations: Operations) -> str | None:
        """What breaks the rule, as the end of a message; None where nothing does."""
        known = self.main + self.supporting
        for operation in operations:
            if operation not in known:
                return f"expected operations among {', '.join(known)}, got {operation[:40]!r}"
        num_supporting = sum(operation in self.supporting for operation in operations)
        if num_supporting > 1:
            return f"expected at most one of {', '.join(self.supporting)}, got {num_supporting}"
        if num_supporting == len(operations):
            return f"expected one of {', '.join(self.main)} among the operations, got {'+'.join(operations) or 'none'}"
        return None

    def sample(self, length: int, rng: random.Random) -> Operations:
        """Draw as the paper's code does: a main operation, then any while the rule allows it, shuffled."""
        operations = [rng.choice(self.main)]
        for _ in range(length - 1):
            pick = rng.randrange(len(self.main) + len(self.supporting))
            may_support = not any(operation in self.supporting for operation in operations)
            operations.append(rng.choice(self.supporting if pick >= len(self.main) and may_support else self.main))
        rng.shuffle(operations)
        return tuple(operations)

    def neighbours(self, operations: Operations) -> list[Operations]:
        """All sequences with one operation replaced, added or removed, each once."""
        known = self.main + self.supporting
        places = range(len(operations))
        found = [(*operations[:place], new, *operations[place + 1 :]) for place in places for new in known]
        found += [(*operations[:place], new, *operations[place:]) for place in (*places, len(places)) for new in known]
        found += [(*operations[:place], *operations[place + 1 :]) for place in places]
        return [other for other in dict.fromkeys(found) if other != operations and self.fault(other) is None]
