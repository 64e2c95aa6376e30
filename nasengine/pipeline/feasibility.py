"""Keeps a search inside the limits of a device.

Costs are known before any training, so that limits are looked at first: a space where nothing keeps them is refused
before a weight is made, proposals that exceed them are moved to the nearest architectures that do not.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.protocols import NetworkConfig, SearchSpace, SubnetCost
from nasengine.randomness import seed_of
from nasengine.targets import Constraints, Device, DeviceCost

NUM_SAMPLES, NUM_PARENTS, NUM_GENERATIONS, NUM_CHILDREN = 64, 8, 30, 16
MAX_NEAR = 6


@dataclass(eq=False)
class Feasibility:
    """Costs of a space's architectures on a device; each is worked out once.

    Args:
        space: where architectures come from.
        config: size of the networks that are deployed.
        device: with its limits.
        count: costs that the space knows without a graph; where they alone exceed a limit, no graph is built.
    """

    space: SearchSpace
    config: NetworkConfig
    device: Device
    count: Callable[[Architecture], SubnetCost] | None = None
    _known: dict[Architecture, DeviceCost] = field(default_factory=dict)

    def cost_of(self, architecture: Architecture) -> DeviceCost:
        """Of one architecture."""
        if architecture not in self._known:
            (self._known[architecture],) = self.device.costs([self.space.to_graph(architecture, self.config)])
        return self._known[architecture]

    def violation(self, architecture: Architecture) -> float:
        """0 where all limits are kept."""
        limits = self.device.constraints.limits
        if self.count is not None and architecture not in self._known:
            found = self.count(architecture)
            counted = {"macs": float(found.macs), "num_parameters": float(found.num_parameters)}
            simple = Constraints(tuple(entry for entry in limits if entry.metric in counted))
            excess = simple.violation(counted)
            if excess > 0 or len(simple.limits) == len(limits):
                return excess
        return self.device.constraints.violation(self.cost_of(architecture).metrics)

    def check(self, seed: int, known: Sequence[Architecture] = ()) -> list[Architecture]:
        """Architectures that keep all limits, at least one.

        Args:
            seed: of the draws.
            known: looked at beside what is drawn.

        Raises:
            ConfigError: none was found; by how much the nearest misses.
        """
        rng = random.Random(seed_of(seed, "feasibility"))
        drawn = list(dict.fromkeys([*known, *(self.space.sample(rng) for _ in range(NUM_SAMPLES))]))
        found = [one for one in drawn if self.violation(one) == 0]
        if found:
            return found
        near = list(self._descend(drawn, self.space, rng, lambda best: self.violation(best) == 0))
        if self.violation(near[0]) > 0:
            misses = self.device.constraints.misses(self.cost_of(near[0]).metrics)
            raise ConfigError(
                f"target {self.device.target.name}: expected an architecture of {self.space.name} that keeps all "
                f"limits, got none among {NUM_SAMPLES} draws and their neighbours; the nearest, "
                f"{self.space.format(near[0])}, has {misses}; loosen the limits, or choose another space or a "
                "smaller budget"
            )
        return [one for one in near if self.violation(one) == 0]

    def near(self, architecture: Architecture, space: SearchSpace, seed: int) -> list[Architecture]:
        """Architectures close to one that exceeds the limits which do not, at most ``MAX_NEAR``; maybe none.

        Args:
            architecture: to begin with.
            space: where its neighbours must be from, such as the part of the space that a leaf holds.
            seed: of the steps.
        """
        rng = random.Random(seed_of(seed, "near", self.space.format(architecture)))
        steps = {architecture: 0}
        for _ in range(NUM_GENERATIONS):
            parents = sorted(steps, key=lambda one: (self.violation(one), steps[one]))[:NUM_PARENTS]
            for parent in (parents * NUM_CHILDREN)[:NUM_CHILDREN]:
                steps.setdefault(space.mutate(parent, rng), steps[parent] + 1)
            if sum(self.violation(one) == 0 for one in steps) >= MAX_NEAR:
                break
        kept = [one for one in steps if self.violation(one) == 0]
        return sorted(kept, key=lambda one: steps[one])[:MAX_NEAR]

    def draw(self, rng: random.Random, known: list[Architecture]) -> Architecture:
        """A random architecture that keeps the limits; one of ``known`` where few do."""
        for _ in range(NUM_SAMPLES):
            drawn = self.space.sample(rng)
            if self.violation(drawn) == 0:
                return drawn
        return rng.choice(known)

    def _descend(
        self,
        begin: list[Architecture],
        space: SearchSpace,
        rng: random.Random,
        is_enough: Callable[[Architecture], bool],
    ) -> Iterator[Architecture]:
        """Evolution towards smaller violations; the best first."""
        living = sorted(begin, key=self.violation)[:NUM_PARENTS]
        for _ in range(NUM_GENERATIONS):
            if is_enough(living[0]):
                break
            children = [space.mutate(rng.choice(living), rng) for _ in range(NUM_CHILDREN)]
            living = sorted(dict.fromkeys([*living, *children]), key=self.violation)[:NUM_PARENTS]
        yield from living
