"""No architecture is proposed twice while the space has others."""

import random
from collections.abc import Callable, Hashable

from nasengine.architecture import Architecture
from nasengine.protocols import SearchSpace, SupportsEnumeration
from nasengine.strategies.genes import identity_of

Identity = Callable[[Architecture], Hashable]
_MAX_DRAWS = 50
_MAX_LISTED = 20_000


class SeenArchitectures:
    """Remembers what was proposed or measured.

    Args:
        space: where new architectures come from when a source has none left.
        rng: source of randomness.
        identity: equal for architectures that count as one; by default the genotype, in its canonical form where it
            has one. ``lambda found: fingerprint(space.to_graph(found, config))`` finds all isomorphs, more slowly.
    """

    def __init__(self, space: SearchSpace, rng: random.Random, identity: Identity = identity_of) -> None:
        self.space, self.rng, self.identity = space, rng, identity
        self._seen: set[Hashable] = set()

    def __contains__(self, architecture: Architecture) -> bool:
        return self.identity(architecture) in self._seen

    def add(self, architecture: Architecture) -> None:
        """Count an architecture as seen."""
        self._seen.add(self.identity(architecture))

    def first_unseen(self, draw: Callable[[], Architecture]) -> Architecture:
        """The first new architecture that ``draw`` gives; after many in vain, any new one; in the end, a known one."""
        for source in (draw, lambda: self.space.sample(self.rng)):
            for _ in range(_MAX_DRAWS):
                found = source()
                if found not in self:
                    return found
        return self._listed() or found

    def _listed(self) -> Architecture | None:
        if not isinstance(self.space, SupportsEnumeration) or self.space.size > _MAX_LISTED:
            return None
        left = [found for found in self.space.enumerate() if found not in self]
        return self.rng.choice(left) if left else None
