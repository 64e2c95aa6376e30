"""A search's elastic supernet, split where the candidates of its layers disagree."""

from dataclasses import replace

from nasengine.data import ImageDataset
from nasengine.pipeline.settings import SearchSettings
from nasengine.pipeline.split_schedule import schedule_of
from nasengine.pipeline.task import Progress, run_task
from nasengine.pipeline.workers import LEAF, Part, Work, Workers
from nasengine.protocols import SearchScale
from nasengine.randomness import seed_of
from nasengine.store import RunStore
from nasengine.supernet.elastic import ElasticLeaves, ElasticParts, ElasticSupernet
from nasengine.supernet.elastic.splitting import MakePhases
from nasengine.supernet.splitting import SplitTraining


def num_splits(settings: SearchSettings, scale: SearchScale) -> int:
    """Levels at which the supernet is split; 0 trains one supernet."""
    return schedule_of(settings, scale).num_splits


class ElasticSplits:
    """Trains and splits an elastic supernet, and trains its leaves.

    Args:
        supernet: the whole, with its first weights.
        settings: of the run.
        scale: lengths of everything.
        dataset: weights learn from ``train``.
        make_phases: what is elastic when, before the first split.
        progress: is told about every step.
        workers: train the leaves elsewhere, if there are any.

    Raises:
        ConfigError: the supernet cannot be split as the settings say.
    """

    def __init__(
        self,
        supernet: ElasticSupernet,
        settings: SearchSettings,
        scale: SearchScale,
        dataset: ImageDataset,
        *,
        make_phases: MakePhases,
        progress: Progress,
        workers: Workers | None = None,
    ) -> None:
        self.settings, self.progress, self.workers = settings, progress, workers
        schedule = replace(schedule_of(settings, scale), restart=False)
        self.kind = ElasticParts(supernet.space.name, dataset, scale.supernet, schedule, make_phases)
        self.splitting = SplitTraining(self.kind, supernet, schedule, seed=settings.seed)

    def run(self, store: RunStore) -> ElasticLeaves:
        """Do what the store does not have yet."""
        self._split(store)
        leaves = self.splitting.leaves
        if self.workers is not None:
            parts = [Part(LEAF, str(number), (f"leaf{number}",)) for number in range(len(leaves))]
            settings = self.settings.model_dump(mode="json")
            self.workers.do(Work(parts, settings, store, needed_tasks=("supernet",)))
        for number in range(len(leaves)):
            self._train(store, number)
        return ElasticLeaves(leaves)

    def train_leaf(self, store: RunStore, leaf: int) -> None:
        """Train one leaf of a run whose supernet is trained and split."""
        self._split(store)
        self._train(store, leaf)

    def _split(self, store: RunStore) -> None:
        run_task(self.splitting, "supernet", store, self.progress, seed=self.settings.seed)

    def _train(self, store: RunStore, leaf: int) -> None:
        seed = self.settings.seed
        training = self.kind.leaf_training(self.splitting.leaves[leaf], seed_of(seed, "leaf", leaf))
        run_task(training, f"leaf{leaf}", store, self.progress, seed=seed)
