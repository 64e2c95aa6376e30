"""The search over an elastic supernet: trained once, it answers what each of its subnets is worth in a moment."""

import random
from dataclasses import replace
from functools import partial

from nasengine.architecture import Architecture
from nasengine.data import ImageDataset
from nasengine.errors import ConfigError, WorkerError
from nasengine.evaluation import SharedWeightsEvaluator, SuccessiveHalving
from nasengine.network import GraphNetwork
from nasengine.pipeline.architecture_search import Candidate
from nasengine.pipeline.elastic_prediction import SubnetScores, with_scores
from nasengine.pipeline.elastic_splits import ElasticSplits, num_splits
from nasengine.pipeline.feasibility import Feasibility
from nasengine.pipeline.limit_range import check_limits
from nasengine.pipeline.recalibration import recalibrated
from nasengine.pipeline.settings import SearchSettings
from nasengine.pipeline.task import Progress, run_task
from nasengine.pipeline.workers import LEAF, Part, Workers
from nasengine.protocols import ElasticSpace, NetworkConfig, PoolPredictor, SearchScale, Strategy, TrainingRecipe
from nasengine.randomness import seed_of
from nasengine.selection import MakeStrategy, SampledPathSelection
from nasengine.store import RunStore
from nasengine.strategies import WithinLimits
from nasengine.supernet.elastic import ElasticLeaves, ElasticSupernet, ElasticTraining, sandwich, shrinking
from nasengine.targets import Constraint, Constraints, Device, load_target

ANY_DEVICE = "any-onnx"
PHASES = {"sandwich": sandwich, "shrinking": shrinking}


class ElasticSearch:
    """Trains an elastic supernet and evolves over its subnets, by validation images and within the limits.

    Networks have the size of the supernet. They inherit its weights and are fine-tuned, or begin anew and are trained
    as long as the supernet was; the random architecture is treated alike.

    Args:
        settings: of the run.
        scale: sizes and lengths of everything.
        space: what is searched.
        dataset: ``train`` and ``validation`` are used, ``test`` is not.
        make_strategy: proposes subnets.
        progress: is told about every step.
        device: whose limits the answer keeps, if there is one.
        predictor: scores what is proposed before it is measured, if there is one.
        workers: train the leaves of a split supernet elsewhere, if there are any.

    Raises:
        ConfigError: settings that are for other spaces, splits that cannot be, limits beyond the space, or nothing that
            keeps them.
    """

    store: RunStore
    halving: SuccessiveHalving | None = None

    def __init__(
        self,
        settings: SearchSettings,
        scale: SearchScale,
        space: ElasticSpace,
        dataset: ImageDataset,
        make_strategy: MakeStrategy,
        progress: Progress,
        device: Device | None = None,
        predictor: PoolPredictor | None = None,
        workers: Workers | None = None,
    ) -> None:
        _check_settings(settings)
        self.settings, self.scale, self.space = settings, scale, space
        self.dataset = dataset
        self.make_strategy, self.progress = make_strategy, progress
        self.final_config = NetworkConfig(
            dataset.num_classes, dataset.image_shape, scale.supernet_channels, scale.supernet_cells
        )
        space.to_graph(space.largest(), self.final_config)  # fails here where the images are too small
        check_limits(space, self.final_config, settings.own_limits)
        for macs in settings.also_macs:
            check_limits(space, self.final_config, {"macs": macs}, {"macs": "--also-macs"})
        self.phases = () if settings.trials else PHASES[settings.training](scale.supernet.epochs, space.elastic_choices)
        self._device = device
        self.feasibility = None if device is None else self._feasibility_on(device)
        self.feasible = [] if self.feasibility is None else self._known_feasible(self.feasibility)
        self._scores = None if predictor is None else SubnetScores(space, self.final_config, predictor, settings.seed)
        self.finalists: list[Candidate] = []
        self._supernet: ElasticSupernet | ElasticLeaves | None = None
        # Fails here, before anything is written, where the supernet cannot be split like this.
        self._splits = (
            ElasticSplits(
                self._new_supernet(), settings, scale, self.dataset,
                make_phases=PHASES[settings.training], progress=progress, workers=workers,
            )
            if num_splits(settings, scale) else None
        )  # fmt: skip

    @property
    def inherits_weights(self) -> bool:
        """Whether networks begin with weights of the supernet."""
        return self.settings.fine_tune and self.settings.trials is None

    @property
    def inherited_tasks(self) -> tuple[str, ...]:
        """Whose last states networks begin from."""
        if not self.inherits_weights:
            return ()
        leaves = [] if self._splits is None else self._splits.splitting.leaves
        return ("supernet", *(f"leaf{number}" for number in range(len(leaves))))

    @property
    def final_recipe(self) -> TrainingRecipe:
        """How networks are trained at the end."""
        return self.scale.final if self.inherits_weights else self.scale.supernet

    def run(self, store: RunStore) -> Architecture:
        """Do what the store does not have yet."""
        self.train(store)
        return self._evolve("selection", self.feasibility, self.feasible)

    def train(self, store: RunStore) -> None:
        """Train the supernet, or take it from the store as a worker does."""
        self.store = store
        self._supernet = self._trained() if self._splits is None else self._splits.run(store)

    def answers(self) -> dict[int, Architecture]:
        """The best subnet for each of the further limits on macs that the run has."""
        return {macs: self.best_within(macs) for macs in self.settings.also_macs}

    def best_within(self, macs: int) -> Architecture:
        """The best subnet of the trained supernet within another limit, beside the device's; nothing is trained.

        Args:
            macs: multiply-accumulates, at most.

        Raises:
            ConfigError: a limit below the smallest or above the largest network, or a supernet that is not trained.
        """
        if self._supernet is None:
            raise ConfigError("elastic search: expected a trained supernet, got none; call run before best_within")
        check_limits(self.space, self.final_config, {"macs": macs})
        device = self._device or Device(load_target(ANY_DEVICE), Constraints())
        limits = Constraints((*device.constraints.limits, Constraint("macs", float(macs))))
        feasibility = self._feasibility_on(replace(device, constraints=limits))
        return self._evolve(f"selection-{macs}", feasibility, self._known_feasible(feasibility))

    def do(self, part: Part, store: RunStore) -> None:
        """Train a leaf of a run whose supernet is trained and split; there are no other parts of the search proper.

        Raises:
            WorkerError: another kind of part, or a supernet that is not split.
        """
        if self._splits is None or part.kind != LEAF:
            raise WorkerError(
                f"worker: expected a part of a search over an elastic supernet, got {part.kind} {part.name}"
            )
        self._splits.train_leaf(store, int(part.name))

    def network(self, architecture: Architecture) -> GraphNetwork:
        """A network with what it inherits, or an untrained one; these start from the same seed."""
        if self.inherits_weights and self._supernet is not None:
            return self.recalibrated(self._supernet.extract(architecture))
        graph = self.space.to_graph(architecture, self.final_config)
        return GraphNetwork(graph, seed_of(self.settings.seed, "final")).to(self.settings.device)

    def recalibrated(self, network: GraphNetwork) -> GraphNetwork:
        """A network whose batch norms have statistics of its weights as they are now, of training images.

        Running statistics lag behind: after a brief fine-tuning they belong to weights that are no more.
        """
        return recalibrated(network, self.dataset, self.settings.seed)

    def keeps_limits(self, architecture: Architecture) -> bool:
        """Whether an architecture keeps all limits; without a device there are none."""
        return self.feasibility is None or self.feasibility.violation(architecture) == 0

    def _trained(self) -> ElasticSupernet:
        supernet = self._new_supernet()
        training = ElasticTraining(
            supernet, self.dataset, self.scale.supernet, seed=self.settings.seed, phases=self.phases
        )
        run_task(training, "supernet", self.store, self.progress, seed=self.settings.seed)
        return supernet

    def _new_supernet(self) -> ElasticSupernet:
        seed = seed_of(self.settings.seed, "supernet")
        return ElasticSupernet(self.space, self.final_config, seed).to(self.settings.device)

    def _known_feasible(self, feasibility: Feasibility) -> list[Architecture]:
        """Architectures that keep the limits; neighbours of the smallest where draws hardly do."""
        smallest, seed = self.space.smallest(), self.settings.seed
        if feasibility.violation(smallest) > 0:
            return feasibility.check(seed, [smallest])
        known = feasibility.near(smallest, self.space, seed)
        return list(dict.fromkeys([*feasibility.check(seed, known), *known]))

    def _feasibility_on(self, device: Device) -> Feasibility:
        return Feasibility(
            self.space, self.final_config, device, count=partial(self.space.cost, config=self.final_config)
        )

    def _evolve(self, name: str, feasibility: Feasibility | None, known: list[Architecture]) -> Architecture:
        """The best of the subnets that the strategy proposes within limits, by validation accuracy."""
        assert self._supernet is not None

        def make(space: ElasticSpace, rng: random.Random) -> Strategy:
            made = self.make_strategy(space, rng)
            if feasibility is not None:
                made = WithinLimits(made, lambda one: feasibility.violation(one) == 0, known)
            return with_scores(made, self._scores, pool=self.settings.pool, num_paths=num_paths)

        num_paths, seed = self.scale.sampled_paths, self.settings.seed
        evaluator = SharedWeightsEvaluator(self._supernet, self.dataset, seed=seed)
        selection = SampledPathSelection(self.space, evaluator, make, num_paths=num_paths, seed=seed)
        run_task(selection, name, self.store, self.progress, seed=seed)
        return selection.architecture()


def _check_settings(settings: SearchSettings) -> None:
    """What is for supernets with paths is refused rather than ignored."""
    faults = []
    if settings.trials is None and settings.training not in PHASES:
        faults.append(f"--training {settings.training}: expected {' or '.join(PHASES)} for space {settings.space}")
    given = {
        "--preset": settings.preset, "--depths": settings.depths, "--sizes": settings.sizes,
    }  # fmt: skip
    faults += [
        f"{option}: expected none for space {settings.space}, whose supernet is elastic, got {value}; leave it out"
        for option, value in given.items()
        if value
    ]
    if faults:
        raise ConfigError(faults)
