"""Whether splitting a supernet makes its accuracies rank architectures better.

Each row trains a supernet path by path, or splits it and trains its leaves path by path, measures the same random
architectures with the weights of the (sub-)supernet that holds them, and compares with a table. Every (sub-)supernet is
trained for the same number of epochs, as in the papers on few-shot supernets.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks.results import ResultsFile, Row, data_name, machine
from benchmarks.tables import Table
from nasengine.data import ImageDataset
from nasengine.evaluation import SharedWeightsEvaluator
from nasengine.graph.supergraph import Selection
from nasengine.protocols import NetworkConfig, SupernetSpace, TrainingRecipe
from nasengine.randomness import seed_of
from nasengine.supernet import Supernet
from nasengine.supernet.splitting import GradientMatching, SplitSchedule, split_cells
from nasengine.supernet.training import SinglePathTraining

EPOCHS, WARMUP_EPOCHS = 60, 10
NUM_TRAIN_IMAGES, IMAGE_SIZE, CHANNELS, CELLS = 10_000, 16, 8, 1
RECIPE = TrainingRecipe(epochs=EPOCHS, batch_size=64, learning_rate=0.1, final_learning_rate=0.001)


def run(
    space: SupernetSpace,
    dataset: ImageDataset,
    table: Table,
    results: ResultsFile,
    *,
    splits: list[int],
    seeds: list[int],
    num_architectures: int,
    threads: int,
) -> Iterator[Row]:
    """One row for each number of splits and seed; those of the results file come from there."""
    for seed in seeds:
        for levels in splits:
            key = {"splits": levels, "seed": seed, "num_architectures": num_architectures, "threads": threads}
            known = results.find(benchmark="correlation", space=space.name, data=data_name(dataset), **key)
            if known is None:
                begin = time.perf_counter()
                found = _measure(space, dataset.reduced(NUM_TRAIN_IMAGES, None, IMAGE_SIZE, seed), table, **key)
                seconds = round(time.perf_counter() - begin, 1)
                known = {
                    "benchmark": "correlation", "method": "single path", "space": space.name,
                    "data": data_name(dataset), **key, **found, "seconds": seconds, "machine": machine(),
                }  # fmt: skip
                results.append(known)
            yield known


def _measure(
    space: SupernetSpace,
    dataset: ImageDataset,
    table: Table,
    *,
    splits: int,
    seed: int,
    num_architectures: int,
    threads: int,
) -> dict[str, Any]:
    from scipy.stats import kendalltau

    leaves = _trained(space, dataset, splits, seed)
    rng = random.Random(seed_of("architectures", seed))
    accuracies, truths = [], []
    for _ in range(num_architectures):
        architecture = space.sample(rng)
        (leaf,) = [leaf for leaf in leaves if _holds(leaf.allowed, space.selection(architecture))]
        evaluate = SharedWeightsEvaluator(leaf, dataset, seed=seed, num_batches=4)
        accuracies.append(evaluate(architecture).metrics["accuracy"])
        truths.append(table.accuracy[space.format(architecture)])
    return {"num_leaves": len(leaves), "kendall_tau": round(float(kendalltau(accuracies, truths)[0]), 4)}


def _trained(space: SupernetSpace, dataset: ImageDataset, splits: int, seed: int) -> list[Supernet]:
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, CHANNELS, CELLS, searching=True)
    leaves = [Supernet(space, config, seed_of(seed, "supernet"))]
    if splits:
        schedule = SplitSchedule(
            WARMUP_EPOCHS, splits, epochs_between=5, single_path=True, restart=False,
            settings=GradientMatching(max_batches=30),
        )  # fmt: skip
        splitting = split_cells(leaves[0], dataset, RECIPE, schedule, seed=seed)
        for step in range(splitting.num_steps):
            splitting.run_step(step)
        leaves = splitting.leaves
    for index, leaf in enumerate(leaves):
        epochs = EPOCHS if not splits else EPOCHS - WARMUP_EPOCHS
        training = SinglePathTraining(leaf, dataset, replace(RECIPE, epochs=epochs), seed=seed_of(seed, index))
        for epoch in range(epochs):
            training.run_step(epoch)
    return leaves


def _holds(allowed: Selection, selection: Selection) -> bool:
    return all(pick in allowed[key] for key, picks in selection.items() for pick in picks)
