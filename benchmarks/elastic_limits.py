"""Subnets of several limits from one elastic supernet against the same networks, each trained from scratch as long.

An epoch is one pass over all training images. The supernet does not learn from those that are held back to choose with,
so that one of its passes is less than an epoch. The supernet and all fine-tuning together get as many epochs as one
network from scratch. Multiply-accumulates are counted beside them, since a step of the supernet takes several subnets
through the same images.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

from benchmarks.elastic_supernets import PASSES, Setting, TrainedSupernet, limits_of
from benchmarks.results import ResultsFile, Row, data_name, machine
from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.evaluation import NetworkTraining, accuracy
from nasengine.network import GraphNetwork
from nasengine.pipeline.recalibration import recalibrated
from nasengine.protocols import TrainingRecipe
from nasengine.randomness import seed_of
from nasengine.selection import MakeStrategy

METHODS = ("elastic", "scratch")
SCRATCH_RATE, SCRATCH_BATCH = 0.05, 16
"""Chosen on validation images of digits, seed 101: 0.966 against 0.951 with a rate of 0.1, mean of two networks."""
SHARED = ("benchmark", "part", "space", "data", "num_train", "image_size", "channels", "seed", "method", "training")
KEY = (*SHARED, "epochs", "tuning_epochs", "num_limits", "on_validation", "recipe")


@dataclass(frozen=True)
class Plan:
    """How long both sides are trained.

    Args:
        epochs: of each network from scratch, and of the supernet and all fine-tuning together.
        tuning_epochs: of each subnet.
        num_limits: how many limits on multiply-accumulates.
        on_validation: networks see as many images, but of those for the supernet alone, and the others measure them:
            for choosing settings. Otherwise they learn from all training images and are tested.
    """

    epochs: int = 12
    tuning_epochs: int = 0
    num_limits: int = 5
    on_validation: bool = False

    def supernet_epochs(self, setting: Setting) -> int:
        """Passes over the supernet's images.

        Raises:
            ConfigError: fine-tuning leaves none for the supernet.
        """
        found = int((self.epochs - self.num_limits * self.tuning_epochs) * _longer(setting) + 1e-9)
        if found < 2:
            raise ConfigError(
                f"--epochs: expected at least 2 beside fine-tuning, which takes {self.num_limits} times "
                f"{self.tuning_epochs}, got {self.epochs}"
            )
        return found


def run(setting: Setting, plan: Plan, supernets: dict[int, TrainedSupernet], make: MakeStrategy, results: ResultsFile
        ) -> list[Row]:  # fmt: skip
    """A row for each seed and method; those that the file has are not run again.

    Args:
        setting: space, images and recipes.
        plan: how long both sides are trained.
        supernets: by seed, for as many epochs as the plan leaves.
        make: proposes subnets.
        results: finished rows.
    """
    rows = []
    for seed, trained in supernets.items():
        elastic = _found(results, _key(setting, plan, "elastic", seed), partial(_elastic, trained, plan, make))
        scratch = _found(results, _key(setting, plan, "scratch", seed), partial(_scratch, setting, plan, elastic))
        rows += [elastic, scratch]
    return rows


def _found(results: ResultsFile, key: Row, make: Callable[[Row], Row]) -> Row:
    row = results.find(**key)
    if row is None:
        begin = time.perf_counter()
        row = {**make(key), "seconds": round(time.perf_counter() - begin, 1), "machine": machine()}
        results.append(row)
    return row


def _key(setting: Setting, plan: Plan, method: str, seed: int) -> Row:
    data = setting.dataset
    recipe = _scratch_recipe(setting, plan) if method == "scratch" else setting.scale.supernet
    return {
        "benchmark": "elastic", "part": "limits", "space": setting.space.name, "data": data_name(data),
        "num_train": len(data.all_training), "image_size": data.image_shape[1], "channels": setting.config.channels,
        "seed": seed, "method": method, "training": setting.training, **asdict(plan), "recipe": asdict(recipe),
    }  # fmt: skip


def _scratch_recipe(setting: Setting, plan: Plan) -> TrainingRecipe:
    """The supernet's, in all epochs, with the learning rate that suits a network of its own."""
    return replace(setting.scale.supernet, epochs=plan.epochs, learning_rate=SCRATCH_RATE, batch_size=SCRATCH_BATCH)


def _elastic(trained: TrainedSupernet, plan: Plan, make: MakeStrategy, key: Row) -> Row:
    """The best subnet of each limit by validation accuracy, fine-tuned."""
    setting = trained.setting
    rows: list[Row] = []
    before = trained.macs.measuring
    for limit in limits_of(setting.space, setting.config, plan.num_limits):
        best, _ = max(trained.history(make, limit), key=lambda entry: entry[1])
        architecture = setting.space.parse(best)
        network = trained.network(architecture)
        inherited = _measured(network, setting, plan)
        _train(network, setting, plan, replace(setting.scale.final, epochs=plan.tuning_epochs), key["seed"])
        rows.append({
            "limit": limit, "genotype": best, "macs": setting.space.cost(architecture, setting.config).macs,
            "inherited_accuracy": inherited, "accuracy": _measured(network, setting, plan),
        })  # fmt: skip
    tuning = sum(_training_macs(setting, row["macs"], plan.tuning_epochs) for row in rows)
    return {
        **key, "networks": rows, "mean_accuracy": statistics.fmean(row["accuracy"] for row in rows),
        "training_macs": trained.macs.training + tuning, "measuring_macs": trained.macs.measuring - before,
    }  # fmt: skip


def _scratch(setting: Setting, plan: Plan, elastic: Row, key: Row) -> Row:
    """The same networks; one that is the answer to several limits is trained once and counted once for each."""
    known: dict[str, float] = {}
    for row in elastic["networks"]:
        if row["genotype"] not in known:
            architecture: Architecture = setting.space.parse(row["genotype"])
            graph = setting.space.to_graph(architecture, setting.config)
            network = GraphNetwork(graph, seed_of(key["seed"], "final"))
            _train(network, setting, plan, _scratch_recipe(setting, plan), key["seed"])
            known[row["genotype"]] = _measured(network, setting, plan)
    same = ("limit", "genotype", "macs")
    rows = [{**{name: row[name] for name in same}, "accuracy": known[row["genotype"]]} for row in elastic["networks"]]
    return {
        **key, "networks": rows, "mean_accuracy": statistics.fmean(row["accuracy"] for row in rows),
        "training_macs": sum(_training_macs(setting, row["macs"], plan.epochs) for row in rows), "measuring_macs": 0,
    }  # fmt: skip


def _train(network: GraphNetwork, setting: Setting, plan: Plan, recipe: TrainingRecipe, seed: int) -> None:
    split = None
    if plan.on_validation:
        split, recipe = setting.dataset.train, replace(recipe, epochs=round(recipe.epochs * _longer(setting)))
    task = NetworkTraining("network", network, setting.dataset, recipe, seed=seed, split=split)
    for epoch in range(recipe.epochs):
        task.run_step(epoch)
    recalibrated(network, setting.dataset, seed)


def _measured(network: GraphNetwork, setting: Setting, plan: Plan) -> float:
    data = setting.dataset
    return accuracy(network, data.validation if plan.on_validation else data.test, data)


def _longer(setting: Setting) -> float:
    """Passes over the supernet's images that show as many as one epoch."""
    return len(setting.dataset.all_training) / len(setting.dataset.train)


def _training_macs(setting: Setting, macs: int, epochs: int) -> int:
    return PASSES * epochs * len(setting.dataset.all_training) * macs


def summary(rows: list[Row]) -> list[Row]:
    """Both methods side by side: mean over the seeds for each limit, and of all limits."""
    found = []
    for place in [*range(rows[0]["num_limits"]), None] if rows else []:
        sides = {name: [row for row in rows if row["method"] == name] for name in METHODS}
        means = {name: statistics.fmean(_accuracy(row, place) for row in own) for name, own in sides.items()}
        macs = {name: sum(row["training_macs"] for row in own) for name, own in sides.items()}
        limit = "all" if place is None else f"{rows[0]['networks'][place]['limit'] / 1e6:.2f}M"
        found.append({"limit": limit, **means, "macs_share": macs["elastic"] / macs["scratch"]})
    return found


def _accuracy(row: Row, place: int | None) -> float:
    return row["mean_accuracy"] if place is None else row["networks"][place]["accuracy"]
