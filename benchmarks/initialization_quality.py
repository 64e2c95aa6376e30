"""How well families of networks begin: stage-wise sharing against other ways to begin, and against scratch.

A family is one architecture at ten depths. Every arm has the same images, augmentation, batches and recipe; inherited
networks are tuned at a smaller learning rate, by the same recipe otherwise. Test images decide nothing.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter

from benchmarks.initialization_setups import Setup
from benchmarks.results import ResultsFile, Row, data_name, machine
from nasengine.evaluation import NetworkTraining, accuracy
from nasengine.evaluation.distillation import distillation
from nasengine.initialization.auxiliary_network import AuxiliaryNetwork
from nasengine.initialization.copying import deepened, leading_units
from nasengine.initialization.learngene import Learngene, num_stored
from nasengine.network import GraphNetwork
from nasengine.pipeline.family_settings import FamilySettings
from nasengine.pipeline.family_training import auxiliary_training, recalibrate_on
from nasengine.protocols import SupernetSpace, TrainingRecipe
from nasengine.randomness import seed_of
from nasengine.supernet import Supernet
from nasengine.supernet.training import SinglePathTraining

KEY = ("benchmark", "setup", "arm", "depth", "seed", "epochs")


class Work:
    """One setup and seed; what several arms need is trained once.

    Args:
        setup: the family.
        seed: of everything.
        report: is told what is being trained.
    """

    def __init__(self, setup: Setup, seed: int, report: Callable[[str], None]) -> None:
        self.setup, self.seed, self.report = setup, seed, report
        self.scratch: dict[int, GraphNetwork] = {}

    def train(self, network: GraphNetwork, recipe: TrainingRecipe, name: str, *, taught: bool = False) -> float:
        """Train in place; returns the test accuracy."""
        self.report(f"seed {self.seed}: {name}, {recipe.epochs} epochs")
        setup = self.setup
        objective = distillation(self.teacher, setup.distillation_weight, setup.temperature) if taught else None
        task = NetworkTraining(name, network, setup.dataset, recipe, seed=self.seed, objective=objective)
        for epoch in range(task.num_steps):
            task.run_step(epoch)
        return self.test(network)

    def test(self, network: GraphNetwork) -> float:
        """Test accuracy."""
        return round(accuracy(network, self.setup.dataset.test, self.setup.dataset), 4)

    def fresh(self, depth: int) -> GraphNetwork:
        """A network with random weights."""
        return GraphNetwork(self.setup.graph(depth), seed_of(self.seed, "scratch", depth))

    def trained(self, depth: int) -> GraphNetwork:
        """A network that was trained from scratch for all epochs."""
        if depth not in self.scratch:
            network = self.fresh(depth)
            self.train(network, self.setup.recipe, f"scratch {depth}")
            self.scratch[depth] = network
        return self.scratch[depth]

    @cached_property
    def teacher(self) -> GraphNetwork:
        """What networks are taught by."""
        setup = self.setup.teacher or self.setup
        if setup is self.setup:
            return self.trained(setup.own_depth)
        return Work(setup, self.seed, self.report).trained(setup.own_depth)

    @cached_property
    def shared(self) -> Learngene:
        """Stage-wise weight sharing at one depth, as published."""
        setup = self.setup
        return self._learngene([setup.auxiliary_depth], setup.stages)

    @cached_property
    def elastic(self) -> Learngene:
        """One set of weights for all depths of the family."""
        stages = self.setup.stages
        count = stages if isinstance(stages, int) else len(stages)
        return self._learngene(sorted(self.setup.depths, reverse=True), count)

    def _learngene(self, depths: Sequence[int], stages: int | tuple[int, ...]) -> Learngene:
        setup = self.setup
        network = AuxiliaryNetwork(
            [setup.graph(depth) for depth in depths], stages=stages, seed=seed_of(self.seed, "auxiliary")
        )
        settings = FamilySettings(
            run="", weights_sha256="", depths=tuple(depths), widths=(1,), epochs=setup.recipe.epochs, tuning_epochs=0,
            distillation_weight=setup.distillation_weight, temperature=setup.temperature, seed=self.seed,
        )  # fmt: skip
        self.report(f"seed {self.seed}: auxiliary network, {setup.recipe.epochs} epochs")
        task = auxiliary_training(network, self.teacher, setup.dataset, setup.recipe, settings)
        for epoch in range(task.num_steps):
            task.run_step(epoch)
        return Learngene.of(network, {})

    @cached_property
    def extracted(self) -> GraphNetwork:
        """The architecture at the smallest depth with the weights of a supernet that was trained path by path."""
        setup, space = self.setup, self.setup.search_space
        assert isinstance(space, SupernetSpace)
        config = replace(setup.config, cells=setup.depths[0])
        supernet = Supernet(space, config, seed_of(self.seed, "supernet"))
        self.report(f"seed {self.seed}: supernet, {setup.recipe.epochs} epochs")
        everything = replace(setup.dataset, train=setup.dataset.all_training)
        task = SinglePathTraining(supernet, everything, replace(setup.recipe, gradient_clip=5.0), seed=self.seed)
        for epoch in range(setup.recipe.epochs):
            task.run_step(epoch)
        return supernet.extract(setup.architecture)


@dataclass(frozen=True)
class Arm:
    """A way to begin.

    Args:
        begin: makes a network of a depth.
        trains: which networks the arm trains before the family's own, as multiples of a training from scratch.
        stored: numbers that are stored to begin the family; None for those of all members.
    """

    begin: Callable[[Work, int], GraphNetwork]
    trains: float
    stored: Callable[[Work], int] | None = None
    is_possible: Callable[[Setup], bool] = lambda setup: True


def _is_convolutional(setup: Setup) -> bool:
    return isinstance(setup.search_space, SupernetSpace)


ARMS = {
    "shared stages (SWS)": Arm(
        lambda work, depth: work.shared.expand(work.setup.graph(depth)), 1.0, lambda work: work.shared.num_values
    ),
    "elastic stages": Arm(
        lambda work, depth: work.elastic.expand(work.setup.graph(depth)), 1.0, lambda work: work.elastic.num_values
    ),
    "leading units": Arm(
        lambda work, depth: leading_units(work.trained(max(work.setup.depths)), work.setup.graph(depth)), 1.0,
        lambda work: num_stored(work.trained(max(work.setup.depths))),
    ),
    "Net2Net": Arm(
        lambda work, depth: deepened(work.trained(min(work.setup.depths)), work.setup.graph(depth)), 1.0,
        lambda work: num_stored(work.trained(min(work.setup.depths))),
    ),
    "supernet": Arm(
        lambda work, depth: leading_units(work.extracted, work.setup.graph(depth)), 1.0,
        lambda work: num_stored(work.extracted), _is_convolutional,
    ),
}  # fmt: skip
"""Arms that inherit; ``scratch`` and ``distillation`` have trainings of their own."""


def run(setup: Setup, results: ResultsFile, *, seeds: Sequence[int], report: Callable[[str], None]) -> Iterator[Row]:
    """One row for each arm, depth and seed; those of the results file come from there."""
    for seed in seeds:
        work = Work(setup, seed, report)
        for arm in ("scratch", *ARMS, "distillation"):
            if arm in ARMS and not ARMS[arm].is_possible(setup):
                continue
            for depth in setup.depths:
                key = {
                    "benchmark": "init", "setup": setup.name, "arm": arm, "depth": depth, "seed": seed,
                    "epochs": setup.recipe.epochs,
                }  # fmt: skip
                known = results.find(**key)
                if known is None:
                    begin = perf_counter()
                    known = key | {"data": data_name(setup.dataset)} | _measured(work, arm, depth)
                    known |= {"seconds": round(perf_counter() - begin, 1), "machine": machine()}
                    results.append(known)
                yield known


def _measured(work: Work, arm: str, depth: int) -> Row:
    setup, recipe = work.setup, work.setup.recipe
    tenth = max(1, recipe.epochs // 10)
    if arm == "scratch":
        short = {
            name: work.train(work.fresh(depth), replace(recipe, epochs=epochs, warmup_epochs=0), f"scratch {depth}")
            for name, epochs in (("accuracy_1", 1), ("accuracy_tenth", tenth))
        }
        network = work.trained(depth)
        return short | {"accuracy_full": work.test(network), "num_stored": num_stored(network)}
    if arm == "distillation":
        # As many epochs for each as stage-wise sharing spends on one, its auxiliary network included.
        epochs = round(recipe.epochs / len(setup.depths)) + tenth
        network = work.fresh(depth)
        found = work.train(network, replace(recipe, epochs=epochs, warmup_epochs=0), f"taught {depth}", taught=True)
        return {"accuracy_tenth": found, "own_epochs": epochs}
    row: Row = {}
    stored = ARMS[arm].stored
    if stored is not None:
        row["num_stored"] = stored(work)
    for name, epochs in (("accuracy_0", 0), ("accuracy_1", 1), ("accuracy_tenth", tenth)):
        network = ARMS[arm].begin(work, depth)
        recalibrate_on(network, setup.dataset, work.seed)
        row[name] = work.test(network) if not epochs else work.train(network, tuning(setup, epochs), f"{arm} {depth}")
    return row


def tuning(setup: Setup, epochs: int) -> TrainingRecipe:
    """The recipe of inherited networks."""
    recipe = setup.recipe
    return replace(
        recipe, epochs=epochs, warmup_epochs=0, learning_rate=recipe.learning_rate * setup.tuning_rate,
        final_learning_rate=recipe.final_learning_rate * setup.tuning_rate,
    )  # fmt: skip


def summary(rows: Sequence[Row]) -> list[Row]:
    """One row for each setup and arm: means over depths, spread over seeds, what is stored, and what is trained."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault((row["setup"], row["arm"], row["epochs"]), []).append(row)
    scratch = {(row["setup"], row["epochs"], row["seed"], row["depth"]): row for row in rows if row["arm"] == "scratch"}
    return [_summed(group, scratch) for group in groups.values()]


def _summed(group: list[Row], scratch: dict[tuple, Row]) -> Row:
    seeds, depths = sorted({row["seed"] for row in group}), sorted({row["depth"] for row in group})
    found: Row = {name: group[0][name] for name in ("benchmark", "setup", "data", "arm", "epochs")}
    found |= {"seeds": seeds, "depths": depths}
    for name in ("accuracy_0", "accuracy_1", "accuracy_tenth", "accuracy_full"):
        means = [
            statistics.mean(row[name] for row in group if row["seed"] == seed and name in row)
            for seed in seeds
            if any(name in row for row in group if row["seed"] == seed)
        ]
        if means:
            found[name] = round(statistics.mean(means), 4)
            found[f"{name}_spread"] = round(statistics.stdev(means), 4) if len(means) > 1 else 0.0
    twins = [(row, scratch.get((row["setup"], row["epochs"], row["seed"], row["depth"]))) for row in group]
    pairs = [(row, twin) for row, twin in twins if twin is not None]
    for name, other in (
        ("accuracy_0", "accuracy_1"),
        ("accuracy_1", "accuracy_1"),
        ("accuracy_tenth", "accuracy_full"),
    ):
        wins = [row[name] >= twin[other] for row, twin in pairs if name in row]
        if wins and found["arm"] != "scratch":
            found[f"{name}_at_least_scratch_{other.removeprefix('accuracy_')}"] = f"{sum(wins)} of {len(wins)}"
    whole = [sum(twin["num_stored"] for row, twin in pairs if row["seed"] == seed) for seed in seeds]
    own = [row["num_stored"] for row in group if "num_stored" in row]
    if own and found["arm"] != "scratch" and whole[0]:
        found["storage_ratio"] = round(whole[0] / own[0], 2)
    return found
