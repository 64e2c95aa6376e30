"""Whether splitting a supernet makes its accuracies rank architectures better.

Each row trains a supernet path by path, or splits it and trains its leaves path by path, measures the same random
architectures with the weights of the (sub-)supernet that holds them, and compares with a table. Every (sub-)supernet is
trained for the same number of epochs, as in the papers on few-shot supernets.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.results import ResultsFile, Row, data_name, machine
from benchmarks.tables import Table
from nasengine.data import ImageDataset
from nasengine.evaluation import SharedWeightsEvaluator
from nasengine.graph.supergraph import Selection
from nasengine.protocols import NetworkConfig, SupernetSpace, TrainingRecipe
from nasengine.randomness import seed_of
from nasengine.supernet import Supernet
from nasengine.supernet.splitting import GradientMatching, SplitSchedule, SplitTraining
from nasengine.supernet.training import SinglePathTraining


@dataclass(frozen=True, slots=True)
class CorrelationScale:
    """Sizes and lengths of what is compared.

    Args:
        recipe: of the undivided supernet; its epochs are those of every leaf as well, from the warm-up on.
        warmup_epochs, epochs_between: before the first split, and of every part before the next one.
        leaf_learning_rate: at which leaves begin, on weights that they inherit.
        num_images: training and validation images together.
        image_size: pixels a side.
        channels: of the supernet.
        scoring_batches: training batches for the score of an edge, at most.
        path_images: validation images for each architecture; None takes all.
    """

    recipe: TrainingRecipe
    warmup_epochs: int
    epochs_between: int
    leaf_learning_rate: float
    num_images: int
    image_size: int
    channels: int = 8
    scoring_batches: int = 30
    path_images: int | None = None


SCALE = CorrelationScale(
    TrainingRecipe(epochs=60, batch_size=64, learning_rate=0.1, final_learning_rate=0.001),
    warmup_epochs=10, epochs_between=5, leaf_learning_rate=0.1, num_images=10_000, image_size=16,
)  # fmt: skip
SCALES = {
    "nasbench_macro": CorrelationScale(
        TrainingRecipe(epochs=10, batch_size=64, learning_rate=0.1, final_learning_rate=0.001),
        warmup_epochs=5, epochs_between=0, leaf_learning_rate=0.05, num_images=16_000, image_size=16,
        scoring_batches=10, path_images=1_500,
    ),
}  # fmt: skip
"""Sizes of the spaces that have their own; these take five minutes of a processor for 1, 2 and 4 leaves."""
CELLS, STATISTICS_BATCHES = 1, 4


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
                cpu_begin = time.process_time()
                found = _measure(space, dataset, table, **key)
                seconds = round(time.perf_counter() - begin, 1)
                found["cpu_seconds"] = round(time.process_time() - cpu_begin, 1)
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

    scale = SCALES.get(space.name, SCALE)
    dataset = dataset.reduced(scale.num_images, None, scale.image_size, seed)
    leaves, divided = _trained(space, dataset, scale, splits, seed)
    rng = random.Random(seed_of("architectures", seed))
    accuracies, losses, truths = [], [], []
    for _ in range(num_architectures):
        architecture = space.sample(rng)
        (leaf,) = [leaf for leaf in leaves if _holds(leaf.allowed, space.selection(architecture))]
        evaluate = SharedWeightsEvaluator(
            leaf, dataset, seed=seed, num_batches=STATISTICS_BATCHES, max_images=scale.path_images
        )
        metrics = evaluate(architecture).metrics
        accuracies.append(metrics["accuracy"])
        losses.append(-metrics["loss"])
        truths.append(table.accuracy[space.format(architecture)])
    return {
        "num_leaves": len(leaves), "divided": divided,
        "kendall_tau": round(float(kendalltau(accuracies, truths)[0]), 4),
        "kendall_tau_by_loss": round(float(kendalltau(losses, truths)[0]), 4),
    }  # fmt: skip


def _trained(
    space: SupernetSpace, dataset: ImageDataset, scale: CorrelationScale, splits: int, seed: int
) -> tuple[list[Supernet], list[Any]]:
    """The trained leaves, and edges and groups of every split."""
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, scale.channels, CELLS, searching=True)
    leaves, divided, recipe = [Supernet(space, config, seed_of(seed, "supernet"))], [], scale.recipe
    if splits:
        schedule = SplitSchedule(
            scale.warmup_epochs, splits, epochs_between=scale.epochs_between, single_path=True, restart=False,
            settings=GradientMatching(max_batches=scale.scoring_batches),
        )  # fmt: skip
        splitting = SplitTraining(leaves[0], dataset, recipe, schedule, seed=seed)
        for step in range(splitting.num_steps):
            splitting.run_step(step)
        leaves = splitting.leaves
        divided = [[[*part.key, [*map(list, part.groups)]] for part in level] for level in splitting.partitions]
        recipe = replace(recipe, epochs=recipe.epochs - scale.warmup_epochs, learning_rate=scale.leaf_learning_rate)
    for index, leaf in enumerate(leaves):
        training = SinglePathTraining(leaf, dataset, recipe, seed=seed_of(seed, index))
        for epoch in range(recipe.epochs):
            training.run_step(epoch)
    return leaves, divided


def _holds(allowed: Selection, selection: Selection) -> bool:
    return all(pick in allowed[key] for key, picks in selection.items() for pick in picks)
