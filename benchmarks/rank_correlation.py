"""Whether splitting a supernet makes its accuracies rank architectures better.

Each row trains a supernet path by path, or splits it and trains its leaves path by path, measures the same random
architectures with the weights of the (sub-)supernet that holds them, and compares with a table. Every (sub-)supernet is
trained for the same number of epochs, as in the papers on few-shot supernets.
"""

import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class CorrelationScale:
    """Sizes and lengths of what is compared.

    Args:
        recipe: of the undivided supernet; every leaf goes on with it, on inherited weights, where the warm-up ends.
        warmup_epochs, epochs_between: before the first split, and of every part before the next one.
        num_images: training and validation images together.
        image_size: pixels a side.
        channels: of the supernet.
        scoring_batches: training batches for the score of an edge, at most.
        path_images: validation images for each architecture; None takes all.
    """

    recipe: TrainingRecipe
    warmup_epochs: int
    epochs_between: int
    num_images: int
    image_size: int
    channels: int = 8
    scoring_batches: int = 30
    path_images: int | None = None


SCALE = CorrelationScale(
    TrainingRecipe(epochs=60, batch_size=64, learning_rate=0.1, final_learning_rate=0.001),
    warmup_epochs=10, epochs_between=5, num_images=10_000, image_size=16,
)  # fmt: skip
SCALES = {
    "nasbench_macro": CorrelationScale(
        TrainingRecipe(epochs=10, batch_size=64, learning_rate=0.1, final_learning_rate=0.001),
        warmup_epochs=5, epochs_between=0, num_images=16_000, image_size=16,
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
    scale = SCALES.get(space.name, SCALE)
    dataset = dataset.reduced(scale.num_images, None, scale.image_size, seed)
    leaves, divided = _trained(space, dataset, scale, splits, seed)
    evaluators = [
        SharedWeightsEvaluator(leaf, dataset, seed=seed, num_batches=STATISTICS_BATCHES, max_images=scale.path_images)
        for leaf in leaves
    ]
    rng = random.Random(seed_of("architectures", seed))
    rows = []
    for _ in range(num_architectures):
        architecture = space.sample(rng)
        (place,) = [place for place, leaf in enumerate(leaves) if _holds(leaf.allowed, space.selection(architecture))]
        metrics = evaluators[place](architecture).metrics
        rows.append((place, metrics["accuracy"], -metrics["loss"], table.accuracy[space.format(architecture)]))
    inside = [[row for row in rows if row[0] == place] for place in range(len(leaves))]
    return {
        "num_leaves": len(leaves), "divided": divided,
        "kendall_tau": _tau(rows, 1), "kendall_tau_by_loss": _tau(rows, 2),
        "leaves": [
            {"architectures": len(own), "kendall_tau": _tau(own, 1), "kendall_tau_by_loss": _tau(own, 2)}
            for own in inside
        ],
    }  # fmt: skip


def _tau(rows: list[tuple[int, float, float, float]], column: int) -> float | None:
    """Kendall's tau-b of a column of the supernet with the table's; None where nothing can be ranked."""
    from scipy.stats import kendalltau

    if len(rows) < 2:
        return None
    value = float(kendalltau([row[column] for row in rows], [row[3] for row in rows])[0])
    return None if math.isnan(value) else round(value, 4)


def _trained(
    space: SupernetSpace, dataset: ImageDataset, scale: CorrelationScale, splits: int, seed: int
) -> tuple[list[Supernet], list[Any]]:
    """The trained leaves, and edges and groups of every split.

    Nothing but the split tells the leaves from the whole: warm-up, epochs and learning rates are the same.
    """
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, scale.channels, CELLS, searching=True)
    leaves, divided = [Supernet(space, config, seed_of(seed, "supernet"))], []
    _train(leaves[0], dataset, scale, range(scale.warmup_epochs), seed)
    if splits:
        schedule = SplitSchedule(
            0, splits, epochs_between=scale.epochs_between, single_path=True, restart=False,
            settings=GradientMatching(max_batches=scale.scoring_batches),
        )  # fmt: skip
        splitting = split_cells(leaves[0], dataset, scale.recipe, schedule, seed=seed)
        for step in range(splitting.num_steps):
            splitting.run_step(step)
        leaves = splitting.leaves
        divided = [[[*part.key, [*map(list, part.groups)]] for part in level] for level in splitting.partitions]
    for index, leaf in enumerate(leaves):
        _train(leaf, dataset, scale, range(scale.warmup_epochs, scale.recipe.epochs), seed_of(seed, index))
    return leaves, divided


def _train(part: Supernet, dataset: ImageDataset, scale: CorrelationScale, epochs: range, seed: int) -> None:
    training = SinglePathTraining(part, dataset, scale.recipe, seed=seed)
    for epoch in epochs:
        training.run_step(epoch)


def _holds(allowed: Selection, selection: Selection) -> bool:
    return all(pick in allowed[key] for key, picks in selection.items() for pick in picks)
