"""How good the architectures are that each way of searching chooses, by a table of accuracies.

Every method sees the same images and chooses with validation images only; the table is looked up when all is decided.
The best leaf by table stands beside the choice, marked as an oracle.
"""

import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.results import ResultsFile, Row, data_name, machine, mean_and_spread
from benchmarks.tables import Table
from nasengine import registry
from nasengine.architecture import Architecture
from nasengine.data import ImageDataset
from nasengine.errors import ConfigError
from nasengine.evaluation import NetworkTraining, measure
from nasengine.pipeline import SearchSettings
from nasengine.pipeline.architecture_search import ArchitectureSearch
from nasengine.protocols import SearchScale, SupernetSpace, TrainingRecipe
from nasengine.randomness import seed_of
from nasengine.report.progress import LineProgress
from nasengine.store import RunStore

_RECIPE = TrainingRecipe(epochs=15, batch_size=64, learning_rate=0.025, final_learning_rate=0.001)
SCALE = SearchScale(
    supernet_channels=8, supernet_cells=1, supernet=_RECIPE, tuning_epochs=1,
    splits=1, warmup_epochs=3, epochs_between_splits=1, leaf_epochs=15, scoring_batches=30,
    halving_epochs=5, finalists_per_leaf=2, sampled_paths=100,
    final_channels=8, final_cells=3,
    final=TrainingRecipe(epochs=8, batch_size=64, learning_rate=0.1, weight_decay=5e-4, nesterov=True),
    max_train_images=20_000, max_test_images=1_000, max_image_size=16,
)  # fmt: skip
"""Sizes for two cores and ten minutes a seed: 10,000 images of 16x16 to learn from and 10,000 to decide on."""

MACRO_SCALE = replace(
    SCALE,
    supernet=TrainingRecipe(
        epochs=11, half_size_epochs=7, batch_size=128, learning_rate=0.1, final_learning_rate=0.001
    ),
    sampled_paths=160, path_images=1_000, finalists_per_leaf=6, halving_epochs=0,
    final_channels=8, final_cells=1,
    max_train_images=40_000, max_image_size=None,
)  # fmt: skip
"""Sizes for NAS-Bench-Macro and fifteen minutes a seed: 20,000 images to learn from, 20,000 to decide on, of 16x16 for
seven epochs and of 32x32 after that, since its last stage would be of 2x2 pixels otherwise. The best six of 160 paths,
measured on 1,000 images, are compared on all."""

SCALES = {"nasbench_macro": MACRO_SCALE}
"""Sizes of the spaces that have their own."""

METHODS: Mapping[str, dict[str, Any]] = {
    "ours": {"training": "fixed"},
    "ours-gennape": {"training": "fixed", "predictor": "gennape"},
    "one-supernet": {"training": "fixed", "splits": 0},
    "random-splits": {"training": "fixed", "split_by": "random"},
    "exhaustive": {"training": "fixed", "split_by": "exhaustive"},
    "darts": {"training": "darts", "splits": 0, "selection": "magnitude"},
    "darts-pt": {"training": "darts", "splits": 0},
    "single-path": {
        "training": "single-path", "selection": "sampled-paths", "strategy": "regularized_evolution", "splits": 0,
    },
    "random-search": {},
}  # fmt: skip
"""Settings of each method. ``ours`` splits by gradient matching and selects by perturbation; ``ours-gennape`` lets the
shipped predictor, which saw no label of NAS-Bench-201, propose architectures as well; ``one-supernet`` does the
latter without splitting; ``darts`` and ``darts-pt`` are one-shot DARTS without and with perturbation; ``single-path``
trains one path a step and evolves paths by their loss; ``random-search`` trains random architectures for as many
seconds as ``REFERENCE`` took."""

OURS = "ours"
REFERENCE = {"nasbench_macro": "single-path"}
"""The method whose seconds random search gets, where it is not ``OURS``."""
EXHAUSTIVE_LEAF_EPOCHS = 8  # five leaves instead of two in the same time


def run(
    space: SupernetSpace,
    dataset: ImageDataset,
    table: Table,
    results: ResultsFile,
    *,
    methods: list[str],
    seeds: list[int],
    minutes: float,
    threads: int,
) -> Iterator[Row]:
    """Rows of all methods and seeds, those of the results file first come from there.

    Args:
        space: one with a table.
        dataset: CIFAR-10.
        table: looked up when a method has chosen.
        results: finished rows are appended to it.
        methods: names of ``METHODS``.
        seeds: of the runs.
        minutes: what a seed may take; a run that takes longer is a row that says so.
        threads: of torch.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise ConfigError(f"--methods: expected some of {', '.join(METHODS)}, got {', '.join(unknown)}")
    for seed in seeds:
        for method in methods:
            key = {"space": space.name, "seed": seed, "data": data_name(dataset), "threads": threads}
            known = results.find(benchmark="search", method=method, **key)
            if known is None:
                ours = results.find(benchmark="search", method=REFERENCE.get(space.name, OURS), **key)
                seconds = min(minutes * 60 * threads, ours.get("cpu_seconds", float("inf")) if ours else float("inf"))
                found = _measure(space, dataset, method, seed, threads, seconds)
                known = _row(space, dataset, table, method, seed, threads, minutes, found)
                results.append(known)
            yield known


def _measure(
    space: SupernetSpace, dataset: ImageDataset, method: str, seed: int, threads: int, seconds: float
) -> dict[str, Any]:
    begin, cpu_begin = time.perf_counter(), time.process_time()
    scale = SCALES.get(space.name, SCALE)
    reduced = dataset.reduced(scale.max_train_images, scale.max_test_images, scale.max_image_size, seed)
    leaves: list[Architecture] = []
    if method == "random-search":
        chosen = _random_search(space, reduced, scale, seed, seconds)
    else:
        chosen, leaves = _search(space, reduced, scale, method, seed, threads)
    return {
        "chosen": chosen, "leaves": leaves, "seconds": round(time.perf_counter() - begin, 1),
        "cpu_seconds": round(time.process_time() - cpu_begin, 1),
    }  # fmt: skip


def _search(
    space: SupernetSpace, dataset: ImageDataset, scale: SearchScale, method: str, seed: int, threads: int
) -> tuple[Architecture, list[Architecture]]:
    if method.startswith("exhaustive"):
        scale = replace(scale, leaf_epochs=EXHAUSTIVE_LEAF_EPOCHS)
    settings = SearchSettings.read(
        {"space": space.name, "data": data_name(dataset), "seed": seed, "threads": threads, **METHODS[method]}, method
    )
    with tempfile.TemporaryDirectory() as folder:
        predictor = registry.load("predictor", settings.predictor)() if settings.predictor else None
        strategy = registry.load("strategy", settings.strategy)
        search = ArchitectureSearch(settings, scale, space, dataset, strategy, LineProgress(), predictor=predictor)
        store = RunStore.create(Path(folder) / "run", settings.model_dump())
        try:
            chosen = search.run(store)
        finally:
            store.close()
    return chosen, [candidate.architecture for candidate in search.finalists]


def _random_search(
    space: SupernetSpace, dataset: ImageDataset, scale: SearchScale, seed: int, seconds: float
) -> Architecture:
    """Train random architectures shortly, one after the other, until the time is up; the best by validation.

    Seconds are those of the processor, so that other work on the machine takes nothing from this baseline.
    """
    from nasengine.network import GraphNetwork
    from nasengine.protocols import NetworkConfig

    config = NetworkConfig(dataset.num_classes, dataset.image_shape, scale.final_channels, scale.final_cells)
    recipe = scale.final
    rng = random.Random(seed_of(seed, "random search"))
    begin, best, chosen, slowest = time.process_time(), (-1.0, 0.0), None, 0.0
    while chosen is None or time.process_time() - begin + slowest < seconds:
        started = time.process_time()
        architecture = space.sample(rng)
        network = GraphNetwork(space.to_graph(architecture, config), seed_of(seed, "final"))
        training = NetworkTraining("random", network, dataset, recipe, seed=seed, split=dataset.train)
        for epoch in range(recipe.epochs):
            training.run_step(epoch)
        value = measure(network, dataset.validation, dataset)
        if (value.accuracy, -value.loss) > best:
            best, chosen = (value.accuracy, -value.loss), architecture
        slowest = max(slowest, time.process_time() - started)
    return chosen


def _row(
    space: SupernetSpace,
    dataset: ImageDataset,
    table: Table,
    method: str,
    seed: int,
    threads: int,
    minutes: float,
    found: dict[str, Any],
) -> Row:
    """Only here the table is looked up."""
    chosen = space.format(found["chosen"])
    leaves = [space.format(leaf) for leaf in found["leaves"]]
    best = max(leaves, key=lambda leaf: table.accuracy[leaf], default=chosen)
    return {
        "benchmark": "search", "method": method, "space": space.name, "data": data_name(dataset), "seed": seed,
        "threads": threads, "seconds": found["seconds"], "cpu_seconds": found["cpu_seconds"],
        "within_minutes": found["seconds"] <= minutes * 60,
        "machine": machine(), "chosen": chosen, "table_test_accuracy": table.accuracy[chosen],
        "table_rank": table.rank(chosen), "information": table.information[chosen],
        "leaves": {leaf: table.accuracy[leaf] for leaf in leaves},
        "oracle_best_leaf": best, "oracle_test_accuracy": table.accuracy[best],
    }  # fmt: skip


def summary(rows: list[Row]) -> list[tuple[str, ...]]:
    """Mean and spread of each method over its seeds."""
    lines: list[tuple[str, ...]] = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        lines.append((
            method,
            mean_and_spread([row["table_test_accuracy"] for row in own]),
            mean_and_spread([row["oracle_test_accuracy"] for row in own]),
            f"{sum(row['seconds'] for row in own) / len(own):.0f} s",
        ))  # fmt: skip
    return lines
