"""Members as one predictor: weights by what they predict about labels that they have not seen.

GENNAPE (Mills et al., 2023, arXiv 2211.17226) weighs members by the softmax of their Kendall tau on the labels they
were fitted to. Trees and kernels reproduce those labels, whatever they are worth, so that here the default is the tau
of out-of-fold predictions; the paper's rule is kept for comparison.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy
from scipy.stats import kendalltau

from nasengine.errors import ConfigError
from nasengine.randomness import seed_of
from predictors.gennape.inputs import MemberInputs
from predictors.gennape.label_scale import LabelScale
from predictors.gennape.member import Member

COVERED = 0.9
NORMAL_QUANTILE = 1.6448536269514722
Weighting = Literal["out_of_fold", "in_sample_softmax", "equal"]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What members say about labelled networks that they were not fitted to.

    Args:
        means: (num_members, num_networks).
        stds: the same; nan where a member has none.
    """

    means: numpy.ndarray
    stds: numpy.ndarray


def out_of_fold(
    makers: Mapping[str, Callable[[], Member]],
    inputs: MemberInputs,
    targets: numpy.ndarray,
    *,
    seed: int,
    folds: int,
    report: Callable[[], None] = lambda: None,
) -> OutOfFold:
    """Fit every member once for each fold on the rest of the networks, and let it predict the fold."""
    order = numpy.random.default_rng(seed_of("folds", seed)).permutation(len(targets))
    means = numpy.full((len(makers), len(targets)), numpy.nan)
    stds = means.copy()
    for held in numpy.array_split(order, min(folds, len(targets) - 1)):
        rest = numpy.setdiff1d(order, held)
        for place, make in enumerate(makers.values()):
            member = make()
            member.fit(inputs[rest], targets[rest], seed)
            means[place, held], std = member.predict(inputs[held])
            stds[place, held] = numpy.nan if std is None else std
            report()
    return OutOfFold(means, stds)


def rank_weights(means: numpy.ndarray, targets: numpy.ndarray, picks: int = 30) -> numpy.ndarray:
    """Weights of members by greedy selection with replacement (Caruana et al., 2004), (num_members,).

    Each pick is the member that raises Kendall tau of the sum most. All members start with some picks, so that few
    labels do not decide much.
    """
    counts = numpy.full(len(means), picks / len(means) / 2)
    for _ in range(picks):
        sums = counts @ means + means
        counts[numpy.argmax([_tau(found, targets) for found in sums])] += 1
    return counts / counts.sum()


def softmax_weights(taus: numpy.ndarray) -> numpy.ndarray:
    """The paper's weights."""
    raised = numpy.exp(taus - taus.max())
    return raised / raised.sum()


def scale_for_coverage(residuals: numpy.ndarray, stds: numpy.ndarray) -> float:
    """Factor of the standard deviations with which 90 % of the residuals lie in their 90 % intervals."""
    level = min(1.0, COVERED * (1 + 1 / len(residuals)))
    return float(numpy.quantile(numpy.abs(residuals) / stds, level)) / NORMAL_QUANTILE


class Stack:
    """Several members fitted on the same labels.

    Args:
        makers: of unfitted members, by name.
        weighting: how members are weighted.
        folds: parts of the labels, each predicted by members that were fitted on the others.
    """

    def __init__(
        self, makers: Mapping[str, Callable[[], Member]], weighting: Weighting = "out_of_fold", folds: int = 5
    ) -> None:
        self._makers, self._weighting, self._folds = makers, weighting, folds
        self.members: dict[str, Member] = {}
        self.weights = numpy.zeros(0)
        self.std_factor = 1.0
        self.out_of_fold_tau = 0.0
        self.scale: LabelScale | None = None

    def fit(
        self,
        inputs: MemberInputs,
        accuracies: numpy.ndarray,
        seed: int,
        report: Callable[[], None] = lambda: None,
    ) -> None:
        """Fit all members, then weigh them; the inputs are ranks, see ``InputRanks``. ``report`` is called each time.

        Raises:
            ConfigError: another number of labels than of networks, or labels that cannot be ranked.
        """
        if len(accuracies) != len(inputs):
            raise ConfigError(f"labels: expected one for each of {len(inputs)} networks, got {len(accuracies)}")
        self.scale = LabelScale.fit(accuracies)
        targets = self.scale.apply(accuracies)
        found = out_of_fold(self._makers, inputs, targets, seed=seed, folds=self._folds, report=report)
        self.members = {name: make() for name, make in self._makers.items()}
        for member in self.members.values():
            member.fit(inputs, targets, seed)
            report()
        self.weights = self._weights(found, inputs, targets)
        mean, std = combined(found.means, found.stds, self.weights)
        self.std_factor = scale_for_coverage(targets - mean, std)
        self.out_of_fold_tau = _tau(mean, targets)

    def _weights(self, found: OutOfFold, inputs: MemberInputs, targets: numpy.ndarray) -> numpy.ndarray:
        if self._weighting == "equal":
            return numpy.full(len(self.members), 1 / len(self.members))
        if self._weighting == "out_of_fold":
            return rank_weights(found.means, targets)
        own = [_tau(member.predict(inputs)[0], targets) for member in self.members.values()]
        return softmax_weights(numpy.array(own))

    def predict(self, inputs: MemberInputs) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Mean and calibrated standard deviation on the scale of ``self.scale``, (num_networks,) each.

        Raises:
            ConfigError: called before ``fit``.
        """
        if not self.members:
            raise ConfigError("predictor: expected fit() before predict()")
        answers = [member.predict(inputs) for member in self.members.values()]
        blank = partial(numpy.full, len(inputs), numpy.nan)
        stds = numpy.array([blank() if std is None else std for _, std in answers])
        mean, std = combined(numpy.array([mean for mean, _ in answers]), stds, self.weights)
        return mean, std * self.std_factor

    def predict_labels(self, inputs: MemberInputs) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Mean and standard deviation in the unit of the labels, (num_networks,) each."""
        mean, std = self.predict(inputs)
        assert self.scale is not None
        return self.scale.invert(mean), std * self.scale.slope(mean)


def combined(means: numpy.ndarray, stds: numpy.ndarray, weights: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Mean and standard deviation of the mixture of members; members without one only add their distance."""
    mean = weights @ means
    known = numpy.isfinite(stds)
    share = (weights[:, None] * known).sum(0)
    within = (weights[:, None] * numpy.where(known, stds, 0.0) ** 2).sum(0) / numpy.where(share > 0, share, 1.0)
    return mean, numpy.sqrt(within + weights @ (means - mean) ** 2 + 1e-6)


def _tau(found: numpy.ndarray, targets: numpy.ndarray) -> float:
    tau = float(kendalltau(found, targets).statistic)
    return tau if numpy.isfinite(tau) else 0.0
