"""Search that measures what a predictor thinks best, and teaches it what came out.

White, Neiswanger and Savani, 2021 (arXiv 1910.11858, "BANANAS") and Dudziak et al., 2020 (arXiv 2007.08668, "BRP-NAS"):
a predictor ranks many candidates, the best are measured, and the predictor is fitted again. With limits, the gain is
weighed by the chance of keeping them (Gelbart, Snoek and Adams, 2014, arXiv 1403.5607).
"""

import random
from collections.abc import Collection, Mapping, Sequence

import numpy

from nasengine.architecture import Architecture
from nasengine.protocols import Evaluation, NetworkConfig, Predictor, SearchSpace
from nasengine.strategies.acquisition import Acquisition, expected_improvement
from nasengine.strategies.candidates import Candidates
from nasengine.strategies.measurements import Measurements
from nasengine.strategies.metric_predictors import MetricPredictors, chance_of_keeping
from nasengine.strategies.objectives import Objective
from nasengine.strategies.proposal_pool import GuidanceConfig, ProposalPool
from nasengine.targets.constraints import NO_LIMITS, Constraints

_FEWEST_LABELS = 3
_LIKELY = 0.5


class PredictorGuided:
    """Proposes the candidates with the largest acquisition, different from one another.

    Args:
        space: what is searched.
        rng: source of randomness.
        predictor: scores graphs; it is fitted again and again.
        is_pretrained: whether it can predict before it was fitted; the first proposals are random otherwise.
        acquisition: how predictions are ranked, not negative where there are limits; before the first fit it is the
            mean that counts.
        constraints: limits of the answer; evaluations hold the limited metrics that graphs do not tell.
        cost_predictors: of the limited metrics that graphs do not tell; taught what was measured.
        pretrained_costs: metrics whose cost predictor is fitted already; it stays as it is.
        network: sizes of the networks that the predictor sees; the space's defaults by default.
        candidates: what to choose from, instead of a pool of its own; share one among searches of one space.
        config: further settings.

    Raises:
        ConfigError: a limited metric that neither graphs nor a cost predictor tell.
    """

    def __init__(
        self,
        space: SearchSpace,
        rng: random.Random,
        *,
        predictor: Predictor,
        is_pretrained: bool = False,
        acquisition: Acquisition = expected_improvement,
        constraints: Constraints = NO_LIMITS,
        cost_predictors: Mapping[str, Predictor] | None = None,
        pretrained_costs: Collection[str] = (),
        network: NetworkConfig | None = None,
        candidates: Candidates | None = None,
        config: GuidanceConfig | None = None,
    ) -> None:
        self.space, self.predictor, self.acquisition = space, predictor, acquisition
        self.constraints, self.is_pretrained = constraints, is_pretrained
        self.config = config or GuidanceConfig()
        self.pool = ProposalPool(
            space, rng, self.config, network=network or space.defaults, candidates=candidates
        )  # fmt: skip
        self.measured = Measurements([Objective(self.config.metric, "max")], constraints, self.pool.graph_of)
        self.costs = MetricPredictors(
            [limit.metric for limit in constraints.limits], cost_predictors or {}, pretrained=pretrained_costs,
            config=self.config,
        )  # fmt: skip
        self._num_taught = 0

    @property
    def candidates(self) -> Candidates | None:
        """What it chooses from, once it has chosen."""
        return self.pool.candidates

    def ask(self, count: int) -> list[Architecture]:
        """Propose the best unseen candidates; random ones while the predictor cannot predict."""
        return [self._propose() for _ in range(count)]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Add measured architectures; failed ones teach nothing and are not proposed again.

        Raises:
            ConfigError: the metric or a limited one was not measured.
        """
        self.measured.take(evaluations, self.pool.seen)

    def best(self) -> Evaluation | None:
        """The best that was measured and keeps all limits; None while nothing does."""
        return self.measured.best()

    def nearest(self) -> Evaluation:
        """The best, or while nothing keeps the limits, what exceeds them least."""
        return self.measured.nearest()

    def _propose(self) -> Architecture:
        if self._is_fit_due():
            self._fit()
        elif self.pool.ranking is None:
            self._rank_unmeasured()
        return self.pool.propose()

    def _is_fit_due(self) -> bool:
        if self._num_taught == 0:
            return len(self.measured) >= max(self.config.num_first, _FEWEST_LABELS)
        return len(self.measured) - self._num_taught >= self.config.refit_every

    def _rank_unmeasured(self) -> None:
        """Before the first fit: what probably keeps the limits, the best first where the predictor can tell."""
        chance = self._chance()
        if chance is None and not self.is_pretrained:
            return
        graphs = self.pool.known().graphs
        if self.is_pretrained:
            scores = self.predictor.predict(graphs).mean
        else:
            scores = numpy.array([self.pool.rng.random() for _ in graphs])
        self.pool.rank(*([] if chance is None else [numpy.minimum(chance, _LIKELY)]), scores)

    def _fit(self) -> None:
        graphs = [self.pool.graph_of(found.architecture) for found in self.measured.evaluations]
        self.predictor.fit(graphs, self.measured.column(self.config.metric))
        self.costs.learn(self.measured, graphs)
        self._num_taught = len(self.measured)
        self.pool.renew(self._parents())
        best, chance = self.best(), self._chance()
        prediction = self.predictor.predict(self.pool.known().graphs)
        if best is not None:
            gain = self.acquisition(prediction, best.metrics[self.config.metric])
            self.pool.rank(gain if chance is None else gain * chance)
        elif chance is not None:
            self.pool.rank(chance, prediction.mean)

    def _chance(self) -> numpy.ndarray | None:
        if not self.constraints:
            return None
        return chance_of_keeping(self.constraints, self.costs, self.pool.known().graphs)

    def _parents(self) -> list[Architecture]:
        """The best first; those that keep the limits before others."""
        order = numpy.lexsort([-self.measured.points[:, 0], self.measured.violations])[: self.config.num_parents]
        return [self.measured.evaluations[index].architecture for index in order]
