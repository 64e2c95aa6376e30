"""GENNAPE: scores any network before it is trained.

Mills, Han, Diaz, Salameh, Niu, Chen, Xu, Lu, Lian and Niu, 2023, arXiv 2211.17226. Every network is a computation graph
of primitive operations; an encoder that was pretrained on graphs of many spaces, and an ensemble on top of it, rank
networks of spaces of which nothing was measured (zero-shot). With some labels of the space, members that learn from few
of them take over.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy

from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph
from nasengine.protocols import Prediction, TaskState
from predictors.gennape.few_shot import FewShot, FewShotConfig, proxy_columns
from predictors.gennape.few_shot_storage import few_shot_from, few_shot_state
from predictors.gennape.storage import ensemble_from, ensemble_state, read_state, save_state
from predictors.gennape.zero_shot import ZeroShotEnsemble
from predictors.labels import checked_labels

SHIPPED = Path(__file__).parents[1] / "weights" / "gennape.safetensors"
MIN_LABELS = 10

Proxies = Mapping[str, Sequence[float] | numpy.ndarray]


class Gennape:
    """Implements the Predictor protocol; it predicts before it is fitted, too.

    Without labels, ``mean`` is the predicted rank among the networks of a reference pool, from 0 (worst) to 1, and
    ``std`` its standard deviation. The pool is that of the pretraining's labelled networks until ``adapt`` names
    another one. After ``fit``, both are in the unit of the labels.

    Args:
        ensemble: what knows other spaces.

    >>> from search_spaces.nasbench201 import NASBENCH201 as space
    >>> import random
    >>> rng = random.Random(0)
    >>> graphs = [space.to_graph(space.sample(rng), space.defaults) for _ in range(4)]
    >>> prediction = Gennape.load_pretrained().predict(graphs)
    >>> bool(((prediction.mean > 0) & (prediction.mean < 1)).all()), prediction.std.shape
    (True, (4,))
    """

    predicts_before_fit = True

    def __init__(self, ensemble: ZeroShotEnsemble) -> None:
        self.ensemble = ensemble
        self.few_shot: FewShot | None = None

    @classmethod
    def load_pretrained(cls) -> "Gennape":
        """The predictor that ships with nasengine; its card says which labels it saw."""
        return cls.load(SHIPPED)

    @property
    def is_fitted(self) -> bool:
        """Whether it knows labels of a space, by ``fit``."""
        return self.few_shot is not None

    def adapt(self, pool: Sequence[ComputationGraph]) -> None:
        """Take other networks as reference, without labels: a sample of the space that is searched.

        Raises:
            ConfigError: fewer than two networks, or a predictor that was fitted: what it learned refers to its pool.
        """
        if self.few_shot is not None:
            raise ConfigError("reference pool: expected a predictor without labels, since those of fit() name the pool")
        if len(pool) < 2:
            raise ConfigError(f"reference pool: expected at least 2 networks, got {len(pool)}")
        self.ensemble = self.ensemble.adapted(pool)

    def known_scores(self) -> numpy.ndarray:
        """What a score is to be compared with, ascending: scores of the reference pool, or labels."""
        if self.few_shot is not None:
            return self.few_shot.labels
        size = self.ensemble.pool_size
        return (numpy.arange(size) + 0.5) / size

    def predict(self, graphs: Iterable[ComputationGraph], proxies: Proxies | None = None) -> Prediction:
        """Score networks; memory does not grow with their number where they come from an iterator.

        Args:
            graphs: of any spaces.
            proxies: zero-cost proxies by name, a value for each network; of the same names as in ``fit``. Before
                ``fit`` they are ranked among these networks, and join by the sum of log ranks.

        Raises:
            ConfigError: proxies that do not fit.
        """
        if self.few_shot is not None:
            return self.few_shot.predict(graphs, self.ensemble, proxies)
        mean, std = self.ensemble.predict(graphs)
        return Prediction(mean if proxies is None else _joined(mean, proxies), std)

    def fit(
        self,
        graphs: Sequence[ComputationGraph],
        targets: Sequence[float],
        proxies: Proxies | None = None,
        *,
        pool: Sequence[ComputationGraph] | None = None,
        pool_proxies: Proxies | None = None,
        config: FewShotConfig | None = None,
        seed: int = 0,
        report: Callable[[], None] = lambda: None,
    ) -> None:
        """Learn from labels of one space; what was learned before is replaced.

        Args:
            graphs: networks.
            targets: their accuracies, or anything of which more is better.
            proxies: of these networks, if ``predict`` will get proxies as well.
            pool: networks of the space without labels, by which features are ranked; the labelled ones by default.
            pool_proxies: their proxies, where there are any.
            config: which members, and how they are weighted.
            seed: of folds and members.
            report: is called after each fit of a member, ``FewShotConfig.num_fits`` times.

        Raises:
            ConfigError: fewer than ``MIN_LABELS`` labels, labels that are not finite or are all equal, or proxies
                that do not fit.
        """
        values = checked_labels(graphs, targets, MIN_LABELS)
        if not numpy.ptp(values):
            raise ConfigError(f"predictor: expected labels that differ, got {values[0]} for all {len(values)} networks")
        ensemble = self.ensemble if pool is None else self.ensemble.adapted(pool)
        known = FewShot.fit(
            graphs, values, proxies, ensemble=ensemble, pool=pool, pool_proxies=pool_proxies,
            config=config or FewShotConfig(), seed=seed, report=report,
        )  # fmt: skip
        self.ensemble, self.few_shot = ensemble, known

    def save(self, path: Path) -> None:
        """Write everything to one safetensors file."""
        state = ensemble_state(self.ensemble)
        if self.few_shot is not None:
            more = few_shot_state(self.few_shot)
            state = TaskState(state.tensors | more.tensors, state.values | more.values)
        save_state(Path(path), state)

    @classmethod
    def load(cls, path: Path) -> "Gennape":
        """Read a predictor back; the file may come from anywhere.

        Raises:
            ConfigError: no such file, or one that holds something else.
        """
        state = read_state(Path(path))
        found = cls(ensemble_from(state, f"predictor {path}"))
        if "few_shot" in state.values:
            found.few_shot = few_shot_from(state, f"predictor {path}")
        return found


def _joined(mean: numpy.ndarray, proxies: Proxies) -> numpy.ndarray:
    """Sum of log ranks of the prediction and of each proxy (Lee and Ham, 2024, arXiv 2403.19232), as ranks again."""
    from scipy.stats import rankdata

    columns = [mean, *proxy_columns(proxies, tuple(proxies)).T]
    if len(columns[-1]) != len(mean):
        raise ConfigError(f"proxies: expected a number of each for {len(mean)} networks, got {len(columns[-1])}")
    sums = numpy.sum([numpy.log(rankdata(column) / len(mean)) for column in columns], axis=0)
    return (rankdata(sums) - 0.5) / len(mean)
