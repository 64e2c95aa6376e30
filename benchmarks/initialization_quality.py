"""How well families of networks begin: stage-wise sharing against other ways to begin, and against scratch.

A family is one architecture at ten depths. All arms have the same images, augmentation, order of batches and recipe,
but for what a way to begin calls for: inherited networks are tuned at a fifth of the learning rate, trainings of a
tenth of the epochs and less have no warm-up, and those that share stages or are taught learn from a teacher, whose own
training is not counted (it is a search's winner, which is there). Settings were not tuned on these images; no test
image decides anything.
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

KEY = ("benchmark", "setup", "arm", "depth", "seed", "epochs", "settings")
NAME = "network"
"""Of all trainings: the order of batches depends on it."""
TIMES_FEWER = 6.6
"""What SWS claims: so many times fewer epochs for a family of ten than from scratch."""


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
        task = NetworkTraining(NAME, network, setup.dataset, recipe, seed=self.seed, objective=objective)
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
        return self._elastic(self.setup.recipe.epochs)

    @cached_property
    def longer(self) -> Learngene:
        """The same in all the epochs that a family may have that is trained 6.6 times shorter, and is not tuned."""
        return self._elastic(longer_epochs(self.setup))

    def _elastic(self, epochs: int) -> Learngene:
        stages = self.setup.stages
        count = stages if isinstance(stages, int) else len(stages)
        return self._learngene(sorted(self.setup.depths, reverse=True), count, epochs)

    def _learngene(self, depths: Sequence[int], stages: int | tuple[int, ...], epochs: int | None = None) -> Learngene:
        setup, epochs = self.setup, epochs or self.setup.recipe.epochs
        network = AuxiliaryNetwork(
            [setup.graph(depth) for depth in depths], stages=stages, seed=seed_of(self.seed, "auxiliary")
        )
        settings = FamilySettings(
            run="", weights_sha256="", depths=tuple(depths), widths=(1,), epochs=epochs, tuning_epochs=0,
            distillation_weight=setup.distillation_weight, temperature=setup.temperature, seed=self.seed,
        )  # fmt: skip
        self.report(f"seed {self.seed}: auxiliary network, {epochs} epochs")
        task = auxiliary_training(network, self.teacher, setup.dataset, setup.recipe, settings)
        for epoch in range(task.num_steps):
            task.run_step(epoch)
        return Learngene.of(network, {})

    @cached_property
    def extracted(self) -> GraphNetwork:
        """The architecture at the largest depth with the weights of a supernet that was trained path by path."""
        setup, space = self.setup, self.setup.search_space
        assert isinstance(space, SupernetSpace)
        config = replace(setup.config, cells=max(setup.depths))
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
        stored: numbers that are stored to begin the family.
        depth: of the one network that is trained for all epochs before the family's own.
        is_possible: whether a setup has what it needs.
        epochs: of that one network.
    """

    begin: Callable[[Work, int], GraphNetwork]
    stored: Callable[[Work], int]
    depth: Callable[[Setup], float]
    is_possible: Callable[[Setup], bool] = lambda setup: True
    epochs: Callable[[Setup], int] = lambda setup: setup.recipe.epochs


def _is_convolutional(setup: Setup) -> bool:
    return isinstance(setup.search_space, SupernetSpace)


def longer_epochs(setup: Setup) -> int:
    """As many as one network may be trained for, where a family without tuning takes 6.6 times fewer than scratch."""
    return max(1, int(setup.recipe.epochs * len(setup.depths) / TIMES_FEWER))


def _deepest(setup: Setup) -> int:
    return max(setup.depths)


ARMS = {
    "shared stages (SWS)": Arm(
        lambda work, depth: work.shared.expand(work.setup.graph(depth)), lambda work: work.shared.num_values,
        lambda setup: setup.auxiliary_depth,
    ),
    "elastic stages": Arm(
        lambda work, depth: work.elastic.expand(work.setup.graph(depth)), lambda work: work.elastic.num_values,
        lambda setup: statistics.mean(setup.depths),
    ),
    "elastic stages, longer": Arm(
        lambda work, depth: work.longer.expand(work.setup.graph(depth)), lambda work: work.longer.num_values,
        lambda setup: statistics.mean(setup.depths), epochs=longer_epochs,
    ),
    "leading units": Arm(
        lambda work, depth: leading_units(work.trained(_deepest(work.setup)), work.setup.graph(depth)),
        lambda work: num_stored(work.trained(_deepest(work.setup))), _deepest,
    ),
    "Net2Net": Arm(
        lambda work, depth: deepened(work.trained(min(work.setup.depths)), work.setup.graph(depth)),
        lambda work: num_stored(work.trained(min(work.setup.depths))), lambda setup: min(setup.depths),
    ),
    "supernet": Arm(
        lambda work, depth: leading_units(work.extracted, work.setup.graph(depth)),
        lambda work: num_stored(work.extracted), _deepest, _is_convolutional,
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
                    "epochs": setup.recipe.epochs, "settings": setup.digest,
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
        # As many epochs as make the family's trainings cost what stage-wise sharing costs, counted in units.
        spent = recipe.epochs * setup.auxiliary_depth + tenth * sum(setup.depths)
        epochs = round(spent / sum(setup.depths))
        network = work.fresh(depth)
        found = work.train(network, replace(recipe, epochs=epochs, warmup_epochs=0), f"taught {depth}", taught=True)
        return {"accuracy_equal_compute": found, "own_epochs": epochs}
    row: Row = {"num_stored": ARMS[arm].stored(work)}
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


FIGURES = ("accuracy_0", "accuracy_1", "accuracy_tenth", "accuracy_equal_compute", "accuracy_full")
RACES = (
    ("accuracy_0", "accuracy_1"), ("accuracy_1", "accuracy_1"), ("accuracy_0", "accuracy_full"),
    ("accuracy_tenth", "accuracy_full"),
)  # fmt: skip
"""What is compared with which accuracy from scratch."""


def summary(setup: Setup, rows: Sequence[Row]) -> list[Row]:
    """One row for each arm of a setup: means over depths and their spread over seeds, what is stored and trained."""
    arms: dict[str, list[Row]] = {}
    for row in rows:
        arms.setdefault(row["arm"], []).append(row)
    found = []
    for arm, group in arms.items():
        line: Row = {name: group[0][name] for name in ("benchmark", "setup", "data", "arm", "epochs")}
        line |= {"seeds": sorted({row["seed"] for row in group}), "depths": list(setup.depths)}
        for name in FIGURES:
            line |= _mean_and_spread(group, name)
        if arm in ARMS:
            line |= _against_scratch(group, arms["scratch"]) | _costs(setup, arm)
            line["storage_ratio"] = round(_stored(arms["scratch"], len(line["seeds"])) / group[0]["num_stored"], 2)
        found.append(line)
    return found


def _mean_and_spread(group: Sequence[Row], name: str) -> Row:
    """Mean over depths of each seed, then mean and standard deviation over seeds."""
    by_seed: dict[int, list[float]] = {}
    for row in group:
        if name in row:
            by_seed.setdefault(row["seed"], []).append(row[name])
    means = [statistics.mean(values) for values in by_seed.values()]
    if not means:
        return {}
    spread = statistics.stdev(means) if len(means) > 1 else 0.0
    return {name: round(statistics.mean(means), 4), f"{name}_spread": round(spread, 4)}


def _against_scratch(group: Sequence[Row], scratch: Sequence[Row]) -> Row:
    """At how many depths an arm is above a training from scratch, or level after all epochs, by means over seeds."""
    found: Row = {}
    for name, other in RACES:
        mine, theirs = _by_depth(group, name), _by_depth(scratch, other)
        level = other == "accuracy_full"
        wins = [mine[depth] > theirs[depth] or (level and mine[depth] == theirs[depth]) for depth in mine]
        found[f"{name}_beats_scratch_{other.removeprefix('accuracy_')}"] = f"{sum(wins)} of {len(wins)}"
    return found


def _by_depth(group: Sequence[Row], name: str) -> dict[int, float]:
    depths = sorted({row["depth"] for row in group})
    return {depth: round(statistics.mean(row[name] for row in group if row["depth"] == depth), 6) for depth in depths}


def _costs(setup: Setup, arm: str) -> Row:
    """How many times fewer epochs, and units times epochs, a family takes, tuned for 0, 1 or a tenth."""
    epochs, count, units = setup.recipe.epochs, len(setup.depths), sum(setup.depths)
    found: Row = {}
    shared = ARMS[arm].epochs(setup)
    for name, tuned in (("0", 0), ("1", 1), ("tenth", max(1, epochs // 10))):
        found[f"times_fewer_epochs_{name}"] = round(epochs * count / (shared + tuned * count), 2)
        spent = shared * ARMS[arm].depth(setup) + tuned * units
        found[f"times_fewer_unit_epochs_{name}"] = round(epochs * units / spent, 2)
    return found


def _stored(scratch: Sequence[Row], num_seeds: int) -> float:
    """Numbers in the files of a whole family."""
    return sum(row["num_stored"] for row in scratch) / num_seeds
