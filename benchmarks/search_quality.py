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
from nasengine.strategies import RandomStrategy

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

METHODS: Mapping[str, dict[str, Any]] = {
    "ours": {"training": "fixed"},
    "ours-gennape": {"training": "fixed", "predictor": "gennape"},
    "one-supernet": {"training": "fixed", "splits": 0},
    "random-splits": {"training": "fixed", "split_by": "random"},
    "exhaustive": {"training": "fixed", "split_by": "exhaustive"},
    "darts": {"training": "darts", "splits": 0, "selection": "magnitude"},
    "darts-pt": {"training": "darts", "splits": 0},
    "random-search": {},
}
"""Settings of each method. ``ours`` splits by gradient matching and selects by perturbation; ``ours-gennape`` lets the
shipped predictor, which saw no label of NAS-Bench-201, propose architectures as well; ``one-supernet`` does the
latter without splitting; ``darts`` and ``darts-pt`` are one-shot DARTS without and with perturbation; ``random-search``
trains random architectures for as many seconds as ours took."""

OURS = "ours"
EXHAUSTIVE_SCALE = replace(SCALE, leaf_epochs=8)  # five leaves instead of two in the same time


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
                ours = results.find(benchmark="search", method=OURS, **key)
                seconds = min(minutes * 60 * threads, ours.get("cpu_seconds", float("inf")) if ours else float("inf"))
                found = _measure(space, dataset, method, seed, threads, seconds)
                known = _row(space, dataset, table, method, seed, threads, minutes, found)
                results.append(known)
            yield known


def _measure(
    space: SupernetSpace, dataset: ImageDataset, method: str, seed: int, threads: int, seconds: float
) -> dict[str, Any]:
    begin, cpu_begin = time.perf_counter(), time.process_time()
    reduced = dataset.reduced(SCALE.max_train_images, SCALE.max_test_images, SCALE.max_image_size, seed)
    leaves: list[Architecture] = []
    if method == "random-search":
        chosen = _random_search(space, reduced, seed, seconds)
    else:
        chosen, leaves = _search(space, reduced, method, seed, threads)
    return {
        "chosen": chosen, "leaves": leaves, "seconds": round(time.perf_counter() - begin, 1),
        "cpu_seconds": round(time.process_time() - cpu_begin, 1),
    }  # fmt: skip


def _search(
    space: SupernetSpace, dataset: ImageDataset, method: str, seed: int, threads: int
) -> tuple[Architecture, list[Architecture]]:
    scale = EXHAUSTIVE_SCALE if method.startswith("exhaustive") else SCALE
    settings = SearchSettings.read(
        {"space": space.name, "data": data_name(dataset), "seed": seed, "threads": threads, **METHODS[method]}, method
    )
    with tempfile.TemporaryDirectory() as folder:
        predictor = registry.load("predictor", settings.predictor)() if settings.predictor else None
        search = ArchitectureSearch(
            settings, scale, space, dataset, RandomStrategy, LineProgress(), predictor=predictor
        )
        store = RunStore.create(Path(folder) / "run", settings.model_dump())
        try:
            chosen = search.run(store)
        finally:
            store.close()
    return chosen, [candidate.architecture for candidate in search.finalists]


def _random_search(space: SupernetSpace, dataset: ImageDataset, seed: int, seconds: float) -> Architecture:
    """Train random architectures shortly, one after the other, until the time is up; the best by validation.

    Seconds are those of the processor, so that other work on the machine takes nothing from this baseline.
    """
    from nasengine.network import GraphNetwork
    from nasengine.protocols import NetworkConfig

    config = NetworkConfig(dataset.num_classes, dataset.image_shape, SCALE.final_channels, SCALE.final_cells)
    recipe = SCALE.final
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
