"""The predictor's stage of a search: many architectures are ranked before any training, and few are kept.

A predictor that knows other spaces, and no label of this one, ranks random architectures and neighbours of what the
supernets propose. All but the most promising are dropped; those compete with the supernets' proposals on validation
images, so that a wrong prediction costs a little training and nothing else.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from nasengine.architecture import Architecture
from nasengine.protocols import NetworkConfig, PoolPredictor, SearchSpace
from nasengine.randomness import seed_of

MAX_MUTATIONS = 3


@dataclass(frozen=True)
class Predicted:
    """An architecture and its predicted rank in the pool, from 0 to 1, or label, with its standard deviation."""

    architecture: Architecture
    mean: float
    std: float


def rank_pool(
    space: SearchSpace,
    config: NetworkConfig,
    predictor: PoolPredictor,
    *,
    proposals: Sequence[Architecture],
    pool_size: int,
    seed: int,
) -> list[Predicted]:
    """Predict a pool and the proposals; best first.

    Args:
        space: where architectures come from.
        config: size of their networks.
        predictor: is told the pool as its reference, unless it knows labels of the space.
        proposals: architectures whose neighbours join the pool, and which are predicted too.
        pool_size: architectures of the pool, at most: half of them random, half neighbours of the proposals.
        seed: of the pool.
    """
    rng = random.Random(seed_of(seed, "pool"))
    strangers = [space.sample(rng) for _ in range(pool_size - pool_size // 2)]
    neighbours = [_neighbour(space, rng.choice(proposals), rng) for _ in range(pool_size // 2)] if proposals else []
    reference = [space.to_graph(architecture, config) for architecture in dict.fromkeys(strangers)]
    if not predictor.is_fitted:
        predictor.adapt(reference)
    every = list(dict.fromkeys([*proposals, *strangers, *neighbours]))
    found = predictor.predict([space.to_graph(architecture, config) for architecture in every])
    ranked = [
        Predicted(architecture, float(mean), float(std))
        for architecture, mean, std in zip(every, found.mean, found.std, strict=True)
    ]
    return sorted(ranked, key=lambda entry: -entry.mean)  # stable


def _neighbour(space: SearchSpace, architecture: Architecture, rng: random.Random) -> Architecture:
    for _ in range(rng.randint(1, MAX_MUTATIONS)):
        architecture = space.mutate(architecture, rng)
    return architecture
