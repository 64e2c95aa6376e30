"""Learning from few labels of one space: members on features, colours, embeddings and proxies, stacked."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy

from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph
from nasengine.protocols import Prediction
from predictors.gennape.forest_member import ForestMember
from predictors.gennape.gaussian_process import GaussianProcess
from predictors.gennape.inputs import ColourVocabulary, InputRanks, MemberInputs
from predictors.gennape.member import Member
from predictors.gennape.pool_view import PoolView, chunks_of, novelty
from predictors.gennape.rank_network import RankNetwork
from predictors.gennape.stacking import Stack, Weighting
from predictors.gennape.tuned_head import TunedHead
from predictors.gennape.zero_shot import ZeroShotEnsemble
from predictors.predictor_batch import predictor_batch

MEMBERS = ("forest", "gaussian process", "rank network", "tuned head")
"""Members that learn from few labels."""
FAST = ("forest", "gaussian process")
"""Members that are fitted within a second, for searches that fit again and again."""

NOVELTY_FACTOR = 4.0
"""How much the deviation grows for a network that is wholly unlike the pool."""

Proxies = Mapping[str, Sequence[float] | numpy.ndarray]


@dataclass(frozen=True)
class FewShotConfig:
    """Settings.

    Args:
        members: names of ``MEMBERS``.
        weighting: how members are weighted.
        folds: parts of the labels for out-of-fold predictions.
        rounds: refinements of colours.
        use_zero_shot: members also see what the ensemble of other spaces says.
    """

    members: tuple[str, ...] = MEMBERS
    weighting: Weighting = "out_of_fold"
    folds: int = 5
    rounds: int = 3
    use_zero_shot: bool = True

    @property
    def num_fits(self) -> int:
        """How often members are fitted: once for each fold, and once on all labels."""
        return (self.folds + 1) * len(self.members)


@dataclass(frozen=True, eq=False)
class FewShot:
    """Fitted members, and what turns networks into their inputs.

    Args:
        config: settings.
        vocabulary: colours of the labelled networks' nodes.
        ranks: of the pool's inputs.
        stack: fitted members.
        proxy_names: proxies that the members saw, in order.
        labels: what was measured, ascending.
    """

    config: FewShotConfig
    vocabulary: ColourVocabulary
    ranks: InputRanks
    stack: Stack
    proxy_names: tuple[str, ...]
    labels: numpy.ndarray

    @classmethod
    def fit(
        cls,
        graphs: Sequence[ComputationGraph],
        values: numpy.ndarray,
        proxies: Proxies | None,
        *,
        ensemble: ZeroShotEnsemble,
        pool: Sequence[ComputationGraph] | None,
        pool_proxies: Proxies | None,
        config: FewShotConfig,
        seed: int,
        report: Callable[[], None],
    ) -> "FewShot":
        """Fit members on labels; inputs are ranked in the pool, or among the labelled networks where there is none."""
        names = tuple(proxies or ())
        vocabulary = ColourVocabulary.fit(predictor_batch(graphs), config.rounds)

        def look(part: list[ComputationGraph], rows: numpy.ndarray | None) -> MemberInputs:
            view = PoolView.of(part, ensemble.encoder)
            return _inputs(view, rows, ensemble=ensemble, vocabulary=vocabulary, config=config)

        labelled = _stacked([look(part, rows) for part, rows in _chunks(graphs, proxies, names)])
        reference = labelled
        if pool is not None:
            if names and pool_proxies is None:
                raise ConfigError("predictor: expected proxies of the pool too, since the labelled networks have some")
            reference = _stacked([look(part, rows) for part, rows in _chunks(pool, pool_proxies, names)])
        ranks = InputRanks.fit(reference)
        stack = Stack({name: _maker(name, ensemble) for name in config.members}, config.weighting, config.folds)
        stack.fit(ranks.apply(labelled), values, seed, report)
        return cls(config, vocabulary, ranks, stack, names, numpy.sort(values))

    def predict(
        self, graphs: Iterable[ComputationGraph], ensemble: ZeroShotEnsemble, proxies: Proxies | None
    ) -> Prediction:
        """Labels and their standard deviations, chunk by chunk."""
        means, stds = [], []
        for part, rows in _chunks(graphs, proxies, self.proxy_names):
            view = PoolView.of(part, ensemble.encoder)
            inputs = _inputs(view, rows, ensemble=ensemble, vocabulary=self.vocabulary, config=self.config)
            mean, std = self.stack.predict_labels(self.ranks.apply(inputs))
            means.append(mean)
            stds.append(std * (1 + NOVELTY_FACTOR * novelty(view, self.ranks.transforms["features"])))
        empty = [numpy.zeros(0)]
        return Prediction(numpy.concatenate(means or empty), numpy.concatenate(stds or empty))


def _inputs(
    view: PoolView,
    proxies: numpy.ndarray | None,
    *,
    ensemble: ZeroShotEnsemble,
    vocabulary: ColourVocabulary,
    config: FewShotConfig,
) -> MemberInputs:
    parts = [vocabulary.counts(batch) for batch in view.batches]
    return MemberInputs(
        features=view.features,
        colours=_stacked_colours(parts),
        proxies=proxies,
        embedding=view.embeddings,
        zero_shot=ensemble.predict_view(view)[0] if config.use_zero_shot else None,
    )


def _chunks(
    graphs: Iterable[ComputationGraph], proxies: Proxies | None, names: tuple[str, ...]
) -> Iterator[tuple[list[ComputationGraph], numpy.ndarray | None]]:
    """Graphs and the rows of their proxies, some at a time."""
    if set(proxies or ()) != set(names):
        raise ConfigError(
            f"proxies: expected {', '.join(names) or 'none'}, as the predictor was fitted with, "
            f"got {', '.join(proxies or ()) or 'none'}; give them, or fit a predictor without proxies"
        )
    columns = proxy_columns(proxies, names) if proxies else None
    begin = 0
    for part in chunks_of(graphs):
        rows = None if columns is None else columns[begin : begin + len(part)]
        begin += len(part)
        if columns is not None and begin > len(columns):
            raise ConfigError(f"proxies: expected a number of each for every network, got {len(columns)} numbers")
        yield part, rows
    if columns is not None and begin < len(columns):
        raise ConfigError(f"proxies: expected a number of each for {begin} networks, got {len(columns)} numbers")


def proxy_columns(proxies: Proxies, names: tuple[str, ...]) -> numpy.ndarray:
    """Proxies side by side, (num_networks, num_proxies).

    Raises:
        ConfigError: what is not a column of finite numbers, or columns of different lengths.
    """
    columns = []
    for name in names:
        try:
            column = numpy.asarray(proxies[name], float)
        except (TypeError, ValueError):
            column = numpy.array(numpy.nan)
        if column.ndim != 1 or not numpy.isfinite(column).all():
            raise ConfigError(f"proxy {name}: expected one finite number for each network, got others")
        columns.append(column)
    if len({len(column) for column in columns}) > 1:
        raise ConfigError(f"proxies: expected columns of one length, got {', '.join(str(len(c)) for c in columns)}")
    return numpy.stack(columns, axis=1)


def _stacked(parts: Sequence[MemberInputs]) -> MemberInputs:
    first = parts[0]

    def join(name: str) -> numpy.ndarray | None:
        return None if getattr(first, name) is None else numpy.concatenate([getattr(part, name) for part in parts])

    features = numpy.concatenate([part.features for part in parts])
    colours = _stacked_colours([part.colours for part in parts])
    return MemberInputs(features, colours, join("proxies"), join("embedding"), join("zero_shot"))


def _stacked_colours(parts: Sequence[tuple]) -> tuple:
    import scipy.sparse

    return tuple(scipy.sparse.csr_array(scipy.sparse.vstack(same)) for same in zip(*parts, strict=True))


def _maker(name: str, ensemble: ZeroShotEnsemble) -> Callable[[], Member]:
    makers: dict[str, Callable[[], Member]] = {
        "forest": ForestMember,
        "gaussian process": GaussianProcess,
        "rank network": RankNetwork,
        "tuned head": partial(TunedHead.of, ensemble),
    }
    if name not in makers:
        raise ConfigError(f"few labels: expected members among {', '.join(makers)}, got {name!r}")
    return makers[name]
