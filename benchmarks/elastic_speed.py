"""What an elastic supernet saves: seconds of measuring a subnet inside it and outside, and of drawing subnets."""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.results import Row, data_name, machine
from nasengine.architecture import Architecture
from nasengine.data import ImageDataset
from nasengine.evaluation import SharedWeightsEvaluator, accuracy
from nasengine.network import GraphNetwork
from nasengine.pipeline.recalibration import BATCH_SIZE, NUM_BATCHES, recalibrated
from nasengine.protocols import ElasticSpace, NetworkConfig
from nasengine.supernet.elastic import ElasticSupernet

NUM_DRAWN = 2000
REPEATS = 3


def key_of(space: ElasticSpace, config: NetworkConfig, dataset: ImageDataset, *, subnets: int, seed: int) -> Row:
    """What makes a row the same run."""
    return {
        "benchmark": "elastic", "part": "speed", "space": space.name, "data": data_name(dataset),
        "image_size": config.image_shape[1], "channels": config.channels, "num_subnets": subnets, "seed": seed,
    }  # fmt: skip


def run(space: ElasticSpace, config: NetworkConfig, dataset: ImageDataset, key: Row) -> Row:
    """Ratios over random subnets, and subnets within a limit that are drawn and costed in a second.

    Args:
        space: what subnets are of.
        config: size of the supernet, whose weights are untrained: speed does not depend on them.
        dataset: both ways use the same batches and images.
        key: of the row.
    """
    rng = random.Random(key["seed"])
    supernet = ElasticSupernet(space, config, key["seed"])
    supernet.max_subnets = 1  # so that each measurement cuts its subnet out anew, as in a search
    ratios = _ratios(supernet, dataset, [space.sample(rng) for _ in range(key["num_subnets"])], key["seed"])
    return {
        **key, "mean_ratio": statistics.fmean(ratios), "worst_ratio": max(ratios), "ratios": ratios,
        "drawn_per_second": _drawn_per_second(space, config, key["seed"]), "machine": machine(),
    }  # fmt: skip


def _ratios(
    supernet: ElasticSupernet, dataset: ImageDataset, subnets: Sequence[Architecture], seed: int
) -> list[float]:
    """Seconds inside over seconds outside, measured in turns; the shortest of each, as other programs only add."""
    inside = SharedWeightsEvaluator(supernet, dataset, seed=seed, batch_size=BATCH_SIZE, num_batches=NUM_BATCHES)
    networks = [supernet.extract(one) for one in subnets]
    seconds: dict[tuple[str, int], float] = {}
    for _ in range(REPEATS):
        for index, (one, network) in enumerate(zip(subnets, networks, strict=True)):
            ways: dict[str, Callable[[], object]] = {
                "inside": partial(inside, one),
                "outside": partial(_measure_alone, network, dataset, seed),
            }
            for name, measure in ways.items():
                begin = time.perf_counter()
                measure()
                taken = time.perf_counter() - begin
                seconds[name, index] = min(taken, seconds.get((name, index), taken))
    return [seconds["inside", index] / seconds["outside", index] for index in range(len(subnets))]


def _measure_alone(network: GraphNetwork, dataset: ImageDataset, seed: int) -> None:
    accuracy(recalibrated(network, dataset, seed), dataset.validation, dataset)


def _drawn_per_second(space: ElasticSpace, config: NetworkConfig, seed: int) -> float:
    """Subnets drawn, costed, and kept where they are within half of the largest network's multiply-accumulates."""
    limit, rng = space.cost_range(config)[1].macs // 2, random.Random(seed)
    begin, kept = time.perf_counter(), 0
    while kept < NUM_DRAWN:
        kept += space.cost(space.sample(rng), config).macs <= limit
    return NUM_DRAWN / (time.perf_counter() - begin)
