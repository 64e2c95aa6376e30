"""Estimates of unmeasured architectures from similar ones that were measured, and whether a child is worth measuring.

After the fuzzy fitness of Jiang et al., 2024 (arXiv 2408.13500), whose formulas are not public; here the estimate never
stands in for a measurement, it only keeps poor children from being measured.
"""

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy

from nasengine.strategies.gate_rules import demanded_share
from nasengine.strategies.genes import GeneTable

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class GateConfig:
    """Settings of the gate.

    Args:
        first_threshold, last_threshold: similarity from which measured architectures count, in a population whose
            members have nothing in common and in one whose members are equal; it rises from one to the other.
        sharpness: how fast a neighbour's weight falls, in powers of e for each gene that differs.
        exempt_share: chance that a child is measured whatever its estimate.
        max_skips: children that are skipped in a row; then the best of them is measured.
        horizon: measurements after which the search counts as late.
    """

    first_threshold: float = 0.55
    last_threshold: float = 0.8
    sharpness: float = 1.0
    exempt_share: float = 0.1
    max_skips: int = 20
    horizon: int = 165


@dataclass(frozen=True)
class Estimate:
    """What similar architectures say about one.

    Args:
        mean: weighted mean of their values.
        spread: weighted standard deviation, as a share of that of all values, at most 1.
        similarity: of the most similar.
    """

    mean: float
    spread: float
    similarity: float


class SimilarityGate:
    """Keeps all measured architectures with their values and judges new ones by them.

    Args:
        rng: source of randomness.
        config: its settings.
    """

    def __init__(self, rng: random.Random, config: GateConfig) -> None:
        self.rng, self.config = rng, config
        self.genes = GeneTable()
        self._values: list[float] = []

    def __len__(self) -> int:
        return len(self._values)

    def add(self, genotype: Hashable, value: float) -> None:
        """Take note of a measured architecture."""
        self.genes.add(genotype)
        self._values.append(value)

    def threshold(self, members: Sequence[int]) -> float:
        """Similarity from which neighbours count.

        Args:
            members: the living, by the order in which they were added.
        """
        convergence = self.genes.mean_similarity(members)
        return self.config.first_threshold + (self.config.last_threshold - self.config.first_threshold) * convergence

    def estimate(self, genotype: Hashable, threshold: float) -> Estimate | None:
        """Weighted by similarity ``s``: ``exp(sharpness * genes * (s - 1))``; None where nothing similar is known."""
        similarities = self.genes.similarities(genotype)
        near = similarities >= threshold - _TOLERANCE
        if not near.any():
            return None
        values = numpy.array(self._values)
        weights = numpy.exp(self.config.sharpness * self.genes.num_varying * (similarities[near] - 1))
        weights /= weights.sum()
        mean = float(weights @ values[near])
        deviation = float(numpy.sqrt(weights @ (values[near] - mean) ** 2))
        overall = float(values.std())
        spread = min(1.0, deviation / overall) if overall > 0 else 0.0
        return Estimate(mean, spread, float(similarities.max()))

    def passes(self, estimate: Estimate | None, living: Sequence[float]) -> bool:
        """Whether an architecture is to be measured.

        Args:
            estimate: of it.
            living: values of the population.
        """
        if estimate is None or self.rng.random() < self.config.exempt_share:
            return True
        time = min(1.0, len(self) / self.config.horizon)
        share = demanded_share(estimate.similarity, estimate.spread, time)
        return estimate.mean >= float(numpy.quantile(living, share))
