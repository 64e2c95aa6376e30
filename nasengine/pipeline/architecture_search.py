"""The search proper: from a space and images to one architecture, chosen with validation images only."""

import copy
from dataclasses import dataclass, replace

from nasengine.architecture import Architecture
from nasengine.data import ImageDataset
from nasengine.errors import TrainingError, WorkerError
from nasengine.evaluation import SharedWeightsEvaluator, SuccessiveHalving
from nasengine.network import GraphNetwork
from nasengine.pipeline.feasibility import Feasibility
from nasengine.pipeline.finalists import FinalistRace
from nasengine.pipeline.prediction import rank_pool
from nasengine.pipeline.recalibration import recalibrated
from nasengine.pipeline.settings import SearchSettings
from nasengine.pipeline.split_schedule import schedule_of
from nasengine.pipeline.task import Progress, run_once, run_task
from nasengine.pipeline.workers import FINALIST, LEAF, TRAINING, Part, Work, Workers
from nasengine.protocols import (
    NetworkConfig,
    PoolPredictor,
    SearchScale,
    SupernetSpace,
    Task,
    TrainingRecipe,
)
from nasengine.randomness import seed_of
from nasengine.selection import MagnitudeSelection, MakeStrategy, PerturbationSelection, SampledPathSelection
from nasengine.store import RunStore
from nasengine.strategies import WithinLimits
from nasengine.supernet import ArchitectureWeights, Supernet
from nasengine.supernet.splitting import SplitTraining, split_cells
from nasengine.supernet.training import ARCHITECTURE_TRAININGS, DifferentiableTraining, SinglePathTraining
from nasengine.targets import Device

PREDICTED_HEAD_START = 4
"""Part of the epochs between rounds that finalists are trained before the first, where some come from a predictor."""
Selector = MagnitudeSelection | PerturbationSelection | SampledPathSelection


@dataclass(frozen=True)
class Candidate:
    """An architecture that a leaf, or the predictor, proposes.

    Args:
        leaf: number of the leaf whose weights it has; 0 for an undivided supernet.
        architecture: what was selected there, or predicted to be good.
        network: the architecture with the weights that it has in the leaf.
        is_predicted: the predictor proposed it.
        is_untuned: its weights are those before the selection, which tunes them to what it picks.
    """

    leaf: int
    architecture: Architecture
    network: GraphNetwork
    is_predicted: bool = False
    is_untuned: bool = False


class ArchitectureSearch:
    """Trains a supernet or its leaves, selects in each, and picks one of what they propose.

    Args:
        settings: of the run.
        scale: sizes and lengths of everything.
        space: what is searched.
        dataset: ``train`` and ``validation`` are used, ``test`` is not.
        make_strategy: proposes paths for ``sampled-paths``.
        progress: is told about every step.
        workers: train the leaves elsewhere, if there are any; otherwise one is trained after the other here.
        predictor: ranks architectures before any training, if there is one.
        device: whose limits the answer keeps, if there is one.

    Raises:
        ConfigError: nothing keeps the limits.
    """

    store: RunStore

    def __init__(
        self,
        settings: SearchSettings,
        scale: SearchScale,
        space: SupernetSpace,
        dataset: ImageDataset,
        make_strategy: MakeStrategy,
        progress: Progress,
        workers: Workers | None = None,
        predictor: PoolPredictor | None = None,
        device: Device | None = None,
    ) -> None:
        self.predictor = predictor
        self._supernets: dict[int, Supernet] = {}
        self.settings, self.scale, self.space, self.dataset = settings, scale, space, dataset
        self.make_strategy, self.progress = make_strategy, progress
        self.workers = workers
        sizes = (dataset.num_classes, dataset.image_shape)
        self.supernet_config = NetworkConfig(*sizes, scale.supernet_channels, scale.supernet_cells, searching=True)
        self.final_config = NetworkConfig(
            *sizes, scale.final_channels, scale.final_cells, auxiliary_head=scale.final.auxiliary_weight > 0
        )
        for config in (self.supernet_config, self.final_config):
            space.supergraph(config)  # fails here where the images are too small
        self.feasibility = None if device is None else Feasibility(space, self.final_config, device)
        self.feasible = [] if self.feasibility is None else self.feasibility.check(settings.seed)
        self.schedule = schedule_of(settings, scale)
        self.finalists: list[Candidate] = []
        self.halving: SuccessiveHalving | None = None
        # Fails here, before anything is written, where the space cannot be split like this.
        self._splitting = self._make_splitting() if self.schedule.num_splits else None

    @property
    def inherited_tasks(self) -> tuple[str, ...]:
        """Whose last states networks begin from: none, since they are trained from scratch."""
        return ()

    @property
    def final_recipe(self) -> TrainingRecipe:
        """How networks are trained at the end."""
        return self.scale.final

    def answers(self) -> dict[int, Architecture]:
        """Architectures for further limits on macs: none, which an elastic supernet alone has."""
        return {}

    def run(self, store: RunStore) -> Architecture:
        """Do what the store does not have yet.

        Raises:
            TrainingError: every leaf diverged.
        """
        self.store = store
        if self._splitting is None:
            candidates = self._search_supernet(0, self._new_supernet(), "supernet", "selection")
        else:
            self._run("supernet", self._splitting)
            candidates = self._search_leaves(self._splitting.leaves)
        if self.predictor is not None:
            candidates += self._predicted(self.predictor, candidates)
        if not candidates:  # whatever the leaves prefer exceeds the limits, and so do all its neighbours there
            candidates = [self._held(leaf, one) for one in self.feasible if (leaf := self._leaf_of(one)) is not None]
        return self._best_of(candidates) if len(candidates) > 1 or self._splitting else candidates[0].architecture

    def network(self, architecture: Architecture) -> GraphNetwork:
        """An untrained network of the final size; all start from the same seed."""
        graph = self.space.to_graph(architecture, self.final_config)
        return GraphNetwork(graph, seed_of(self.settings.seed, "final")).to(self.settings.device)

    # --- supernets --------------------------------------------------------------------------------------------------

    def _new_supernet(self) -> Supernet:
        seed = seed_of(self.settings.seed, "supernet")
        return Supernet(self.space, self.supernet_config, seed).to(self.settings.device)

    def _make_splitting(self) -> SplitTraining[Supernet]:
        return split_cells(
            self._new_supernet(), self.dataset, self.scale.supernet, self.schedule, seed=self.settings.seed
        )

    def _search_supernet(
        self, leaf: int, supernet: Supernet, training_name: str, selection_name: str
    ) -> list[Candidate]:
        """Train one (sub-)supernet and select from it."""
        training, selection = self._parts(leaf, supernet)
        self._run(training_name, training)
        if self.predictor is not None or self.feasibility is not None:
            self._supernets[leaf] = copy.deepcopy(supernet)  # the selection tunes the weights to what it picks
        self._run(selection_name, selection)
        chosen = self._chosen(selection)
        moved = self._within_limits(leaf, chosen) if self.feasibility is not None else []
        return [
            Candidate(leaf, architecture, supernet.extract(architecture))
            for architecture in chosen
            if self.keeps_limits(architecture)
        ] + [self._held(leaf, architecture) for architecture in moved]

    def _parts(self, leaf: int, supernet: Supernet) -> tuple[Task, Selector]:
        settings, scale = self.settings, self.scale
        is_leaf = self._splitting is not None
        recipe = replace(scale.supernet, epochs=self.schedule.leaf_epochs) if is_leaf else scale.supernet
        seed = seed_of(settings.seed, "leaf", leaf) if is_leaf else settings.seed
        space = self.space.restrict(supernet.allowed)
        if settings.training == "single-path":
            training = SinglePathTraining(supernet, self.dataset, recipe, seed=seed)
            evaluator = SharedWeightsEvaluator(supernet, self.dataset, seed=seed, max_images=scale.path_images)
            num_paths = max(1, scale.sampled_paths // self._num_leaves)
            make = self._strategy_within(supernet)
            return training, SampledPathSelection(
                space, evaluator, make, num_paths=num_paths, seed=seed, criterion="loss"
            )
        architecture = ARCHITECTURE_TRAININGS[settings.training]
        alphas = ArchitectureWeights(
            self.space.topology, seed_of(seed, "alphas"), supernet.allowed, architecture.relaxation
        ).to(settings.device)
        differentiable = DifferentiableTraining(
            supernet, alphas, self.dataset, recipe, architecture=architecture, seed=seed
        )
        if settings.selection == "magnitude":
            return differentiable, MagnitudeSelection(space, alphas)
        return differentiable, PerturbationSelection(
            space,
            differentiable,
            self.dataset,
            tuning_epochs=scale.tuning_epochs,
            batch_size=scale.selection_batch_size,
            seed=seed,
        )

    def _strategy_within(self, supernet: Supernet) -> MakeStrategy:
        """What proposes paths; with a device, only those that keep its limits, where the leaf is known to hold any."""
        held = [one for one in self.feasible if self._is_in(one, supernet)]
        if not held:
            return self.make_strategy
        return lambda space, rng: WithinLimits(self.make_strategy(space, rng), self.keeps_limits, held)

    @property
    def _num_leaves(self) -> int:
        return len(self._splitting.leaves) if self._splitting is not None else 1

    def _chosen(self, selection: Selector) -> list[Architecture]:
        """What a (sub-)supernet proposes: one architecture, or the best of its sampled paths."""
        if isinstance(selection, SampledPathSelection):
            return selection.best(self.scale.finalists_per_leaf)
        return [selection.architecture()]

    # --- limits of a device -----------------------------------------------------------------------------------------

    def keeps_limits(self, architecture: Architecture) -> bool:
        """Whether an architecture keeps all limits; without a device there are none."""
        return self.feasibility is None or self.feasibility.violation(architecture) == 0

    def _held(self, leaf: int, architecture: Architecture) -> Candidate:
        """An architecture with the weights that it had in its leaf before the selection."""
        return Candidate(leaf, architecture, self._supernets[leaf].extract(architecture), is_untuned=True)

    def _within_limits(self, leaf: int, proposals: list[Architecture]) -> list[Architecture]:
        """For proposals that exceed the limits: the best neighbour that does not, by the leaf's shared weights."""
        assert self.feasibility is not None
        feasibility, supernet = self.feasibility, self._supernets[leaf]
        space = self.space.restrict(supernet.allowed)
        evaluate = SharedWeightsEvaluator(copy.deepcopy(supernet), self.dataset, seed=self.settings.seed)

        def work() -> dict[str, object]:
            compared, moved = [], []
            for proposal in proposals:
                if feasibility.violation(proposal) > 0:
                    near = feasibility.near(proposal, space, self.settings.seed)
                    values = [(evaluate(one).metrics["accuracy"], one) for one in near]
                    compared += [[self.space.format(one), value] for value, one in values]
                    moved += [max(values, key=lambda entry: entry[0])[1]] if values else []
            formatted = [self.space.format(one) for one in moved]
            return {"moved": formatted, "proposed": [*map(self.space.format, proposals)], "compared": compared}

        key = {"network": f"leaf {leaf}"}
        event = run_once("limits", key, work, self.store, self.progress)
        return [self.space.parse(text) for text in dict.fromkeys(event["moved"])]

    # --- predictor --------------------------------------------------------------------------------------------------

    def _predicted(self, predictor: PoolPredictor, candidates: list[Candidate]) -> list[Candidate]:
        """The most promising of a pool, with the weights of the leaves that hold them; what is poor is dropped."""
        proposals = list(dict.fromkeys(candidate.architecture for candidate in candidates))

        def work() -> dict[str, object]:
            ranked = rank_pool(
                self.space, self.final_config, predictor,
                proposals=proposals, pool_size=self.settings.pool, seed=self.settings.seed,
            )  # fmt: skip
            able = (entry for entry in ranked if self.keeps_limits(entry.architecture))
            held = [entry for entry in able if self._leaf_of(entry.architecture) is not None]
            chosen = [entry for entry in held if entry.architecture not in proposals]
            kept = [*chosen[: self.settings.predicted_finalists], *(e for e in ranked if e.architecture in proposals)]
            rows = [[self.space.format(entry.architecture), entry.mean, entry.std] for entry in kept]
            return {"num_ranked": len(ranked), "num_dropped": len(ranked) - len(kept), "predicted": rows}

        rows = run_once("prediction", {}, work, self.store, self.progress)["predicted"]
        found = [self.space.parse(text) for text, _, _ in rows]
        return [
            replace(self._held(leaf, architecture), is_predicted=True)
            for architecture in found
            if architecture not in proposals and (leaf := self._leaf_of(architecture)) is not None
        ]

    def _leaf_of(self, architecture: Architecture) -> int | None:
        """The trained leaf that holds an architecture; None where that leaf failed."""
        return next((leaf for leaf, supernet in self._supernets.items() if self._is_in(architecture, supernet)), None)

    def _is_in(self, architecture: Architecture, supernet: Supernet) -> bool:
        picked = self.space.selection(architecture).items()
        return all(pick in supernet.allowed[key] for key, picks in picked for pick in picks)

    # --- leaves -----------------------------------------------------------------------------------------------------

    def do(self, part: Part, store: RunStore) -> None:
        """Do a part as a worker: train a leaf of a trained supernet and select in it, or train a finalist.

        Raises:
            WorkerError: another kind of part.
        """
        self.store = store
        if part.kind == FINALIST:
            self._race().do(part, store)
        elif part.kind == LEAF and self._splitting is not None:
            self._run("supernet", self._splitting)
            self._search_leaf(int(part.name), self._splitting.leaves[int(part.name)])
        else:
            raise WorkerError(f"worker: expected {LEAF}, {FINALIST} or {TRAINING}, got {part.kind} {part.name}")

    def _search_leaves(self, leaves: list[Supernet]) -> list[Candidate]:
        """What the leaves propose; a leaf that diverges is recorded as failed, and the others go on."""
        if self.workers is not None:
            parts = [Part(LEAF, str(index), (f"leaf{index}", f"selection-leaf{index}")) for index in range(len(leaves))]
            settings = self.settings.model_dump(mode="json")
            self.workers.do(Work(parts, settings, self.store, needed_tasks=("supernet",)))
        candidates = [one for index, leaf in enumerate(leaves) for one in self._search_leaf(index, leaf)]
        failed = list(self.store.find("failed-leaf"))
        if len(failed) == len(leaves):
            raise TrainingError(f"all {len(leaves)} leaves failed; the first: {failed[0]['reason']}")
        return candidates

    def _search_leaf(self, leaf: int, supernet: Supernet) -> list[Candidate]:
        if self.store.last("failed-leaf", leaf=leaf) is not None:
            return []
        try:
            return self._search_supernet(leaf, supernet, f"leaf{leaf}", f"selection-leaf{leaf}")
        except TrainingError as fault:
            self.store.record("failed-leaf", leaf=leaf, reason=str(fault))
            return []

    def _best_of(self, candidates: list[Candidate]) -> Architecture:
        """Successive halving of what the leaves propose, with the leaves' weights, on validation images."""
        self.finalists = list({candidate.architecture: candidate for candidate in reversed(candidates)}.values())[::-1]
        # Where some have weights that no selection has tuned, all are trained before they are compared.
        is_mixed = self.predictor is not None or any(candidate.is_untuned for candidate in candidates)
        first = -(-self.scale.halving_epochs // PREDICTED_HEAD_START) if is_mixed else 0
        networks = {candidate.architecture: candidate.network for candidate in self.finalists}
        self.halving = self._race().run(networks, first, self._recalibrate, self.store)
        return self.finalists[self.halving.winner()].architecture

    def _race(self) -> FinalistRace:
        return FinalistRace(
            self.settings, self.scale, self.space, self.supernet_config, self.dataset, self.progress, self.workers
        )

    def _recalibrate(self, network: GraphNetwork) -> None:
        recalibrated(network, self.dataset, self.settings.seed)

    def _run(self, name: str, task: Task) -> None:
        run_task(task, name, self.store, self.progress, seed=self.settings.seed)
