"""Search for the best trade-offs that measures what predictors think adds most to them.

Emmerich, Giannakoglou and Naujoks, 2006, and Yang et al., 2019 (arXiv 1904.12672): candidates are ranked by the volume
that they are expected to add to the front. With limits it is weighed by the chance of keeping them (Gelbart, Snoek and
Adams, 2014, arXiv 1403.5607).
"""

import random
from collections.abc import Collection, Mapping, Sequence

import numpy

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.protocols import Evaluation, NetworkConfig, Prediction, Predictor, SearchSpace
from nasengine.strategies.candidates import Candidates
from nasengine.strategies.expected_hypervolume import expected_hypervolume_improvement
from nasengine.strategies.measurements import Measurements
from nasengine.strategies.metric_predictors import MetricPredictors, chance_of_keeping
from nasengine.strategies.non_dominated_sorting import ranking
from nasengine.strategies.objectives import ACCURACY_AND_MACS, Objective, point_of
from nasengine.strategies.proposal_pool import GuidanceConfig, ProposalPool
from nasengine.targets.constraints import NO_LIMITS, Constraints

OPTIMISM = 0.25
"""The best of 0, 0.25, 0.5 and 1 on NAS-Bench-201 with latencies of raspi4, seeds 100 to 105."""
MARGIN = 0.5
"""Without a reference, it lies this share of the measured range beyond the worst that was measured."""


class ParetoGuided:
    """Proposes the candidates with the largest expected gain of hypervolume, different from one another.

    The first proposals are random; of what can be judged before, those that probably keep the limits.

    Args:
        space: what is searched.
        rng: source of randomness.
        predictors: by metric, of objectives and limited metrics that graphs do not tell; fitted again and again.
        pretrained: metrics whose predictor is fitted already; it stays as it is.
        objectives: what counts; at least two.
        constraints: limits of the answers; evaluations hold the limited metrics that graphs do not tell.
        optimism: share of the predicted standard deviations that counts; at 1, the upper ends of poor and uncertain
            networks count for too much, see ``docs/benchmarks.md``.
        reference: by metric, values so bad that trade-offs beyond them are worth nothing; otherwise a little
            beyond the worst that was measured. Name them where some networks are far worse than any that is of use.
        network: sizes of the networks that predictors see; the space's defaults by default.
        candidates: what to choose from, instead of a pool of its own; share one among searches of one space.
        config: further settings; its ``metric`` is not used.

    Raises:
        ConfigError: fewer than two objectives, a metric that neither graphs nor predictors tell, or a reference that
            lacks an objective.

    >>> from predictors.guided import pareto_guided
    >>> from search_spaces.nasbench_macro import NASBENCH_MACRO as space
    >>> strategy = pareto_guided(space, random.Random(0), config=GuidanceConfig(num_first=8, pool_size=60))
    >>> for _ in range(4):
    ...     found = strategy.ask(5)
    ...     strategy.tell([Evaluation(one, {"accuracy": space.format(one).count("2") / 8}) for one in found])
    >>> len(strategy.front()) > 3
    True
    """

    def __init__(
        self,
        space: SearchSpace,
        rng: random.Random,
        *,
        predictors: Mapping[str, Predictor],
        pretrained: Collection[str] = (),
        objectives: Sequence[Objective] = ACCURACY_AND_MACS,
        constraints: Constraints = NO_LIMITS,
        optimism: float = OPTIMISM,
        reference: Mapping[str, float] | None = None,
        network: NetworkConfig | None = None,
        candidates: Candidates | None = None,
        config: GuidanceConfig | None = None,
    ) -> None:
        _check(objectives, reference)
        self.space, self.objectives, self.constraints = space, tuple(objectives), constraints
        self.optimism = optimism
        self.reference = None if reference is None else point_of(reference, objectives)
        self.config = config or GuidanceConfig()
        self.pool = ProposalPool(space, rng, self.config, network=network or space.defaults, candidates=candidates)
        self.measured = Measurements(self.objectives, constraints, self.pool.graph_of)
        self.predictors = MetricPredictors(
            self.measured.wanted, predictors, pretrained=pretrained, config=self.config
        )  # fmt: skip
        self._num_taught = 0

    def ask(self, count: int) -> list[Architecture]:
        """Propose the best unseen candidates; random ones while an objective cannot be predicted."""
        return [self._propose() for _ in range(count)]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Add measured architectures; failed ones teach nothing and are not proposed again.

        Raises:
            ConfigError: an objective or a limited metric was not measured.
        """
        self.measured.take(evaluations, self.pool.seen)

    def front(self) -> list[Evaluation]:
        """Everything measured that keeps the limits and that nothing of it dominates, in the order of measurement."""
        return [self.measured.evaluations[index] for index in self.measured.front]

    def best(self) -> Evaluation | None:
        """The best by the first objective of all that keep the limits; None while nothing does."""
        return self.measured.best()

    def nearest(self) -> Evaluation:
        """The best, or while nothing keeps the limits, what exceeds them least."""
        return self.measured.nearest()

    def _propose(self) -> Architecture:
        is_due = len(self.measured) - self._num_taught >= self.config.refit_every
        if len(self.measured) >= self.config.num_first and (is_due or self._num_taught == 0):
            self._fit()
        elif self.pool.ranking is None:
            self._rank_unmeasured()
        return self.pool.propose()

    def _rank_unmeasured(self) -> None:
        chance = self._chance()
        if chance is not None:
            self.pool.rank(numpy.minimum(chance, 0.5), numpy.array([self.pool.rng.random() for _ in chance]))

    def _fit(self) -> None:
        graphs = [self.pool.graph_of(found.architecture) for found in self.measured.evaluations]
        self.predictors.learn(self.measured, graphs)
        self._num_taught = len(self.measured)
        places = numpy.argsort(ranking(self.measured.points, self.measured.violations))[: self.config.num_parents]
        self.pool.renew([self.measured.evaluations[index].architecture for index in places])
        chance = self._chance()
        if all(self.predictors.can_predict(entry.metric) for entry in self.objectives):
            gain = self._gain()
            self.pool.rank(gain if chance is None else gain * chance)

    def _gain(self) -> numpy.ndarray:
        graphs = self.pool.known().graphs
        points = self.measured.points
        reference = self.reference or (points.min(axis=0) - MARGIN * numpy.ptp(points, axis=0)).tolist()
        predictions = []
        for entry in self.objectives:
            found = self.predictors.predict(entry.metric, graphs)
            predictions.append(Prediction(entry.sign * found.mean, self.optimism * found.std))
        return expected_hypervolume_improvement(predictions, points[self.measured.front], reference)

    def _chance(self) -> numpy.ndarray | None:
        if not self.constraints:
            return None
        return chance_of_keeping(self.constraints, self.predictors, self.pool.known().graphs)


def _check(objectives: Sequence[Objective], reference: Mapping[str, float] | None) -> None:
    if len(objectives) < 2:
        raise ConfigError(f"pareto_guided: expected at least two objectives, got {len(objectives)}")
    missing = [] if reference is None else [entry.metric for entry in objectives if entry.metric not in reference]
    if missing:
        raise ConfigError(f"pareto_guided: expected a reference for {' and '.join(missing)}, got {reference}")
