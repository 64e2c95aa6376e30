"""A predictor in front of an elastic supernet: what is found in as many measurements with and without it.

Accuracies decide nothing but this comparison, so that none of them is on test images.
"""

import statistics
import time

from benchmarks.elastic_supernets import TrainedSupernet, limits_of
from benchmarks.results import ResultsFile, Row, data_name, machine
from nasengine.pipeline.elastic_prediction import SubnetScores
from nasengine.protocols import PoolPredictor
from nasengine.selection import MakeStrategy

WAYS = ("none", "predictor")
NUM_LIMITS = 3
KEY = (
    "benchmark", "part", "space", "data", "num_train", "image_size", "channels", "seed", "strategy", "predictor",
    "epochs", "num_measured", "pool",
)  # fmt: skip


def run(
    trained: TrainedSupernet, make: MakeStrategy, predictor: PoolPredictor, results: ResultsFile, content: Row
) -> Row:
    """The row of a supernet.

    Args:
        trained: what is measured in.
        make: proposes subnets.
        predictor: looks at them first, in one of two ways.
        results: finished rows; a row that is there is not made again.
        content: names of the strategy and the predictor, and the pool.
    """
    setting = trained.setting
    key = {
        "benchmark": "elastic", "part": "prefilter", "space": setting.space.name, "data": data_name(setting.dataset),
        "num_train": len(setting.dataset.all_training), "image_size": setting.dataset.image_shape[1],
        "channels": setting.config.channels, "seed": trained.seed, "epochs": setting.scale.supernet.epochs,
        "num_measured": setting.scale.sampled_paths, **content,
    }  # fmt: skip
    row = results.find(**key)
    if row is None:
        scores = SubnetScores(setting.space, setting.config, predictor, trained.seed)
        limits = limits_of(setting.space, setting.config, NUM_LIMITS)
        ways = {"none": None, "predictor": scores}
        found = {
            way: [_measured(trained, make, limit, used, content["pool"]) for limit in limits]
            for way, used in ways.items()
        }
        row = {**key, "limits": limits, "accuracies": found, "machine": machine()}
        results.append(row)
    return row


def _measured(trained: TrainedSupernet, make: MakeStrategy, limit: int, scores: SubnetScores | None, pool: int) -> Row:
    begin = time.perf_counter()
    found = [value for _, value in trained.history(make, limit, scores, pool=pool)]
    return {"all": [round(value, 4) for value in found], "seconds": round(time.perf_counter() - begin, 1)}


def summary(rows: list[Row]) -> list[Row]:
    """For each limit and for all: the mean over the seeds of the best accuracy, of all accuracies, and the seconds."""
    found = []
    for place in range(NUM_LIMITS):
        for way in WAYS:
            own = [row["accuracies"][way][place] for row in rows]
            found.append({
                "limit": rows[0]["limits"][place], "way": way,
                "best": statistics.fmean(max(one["all"]) for one in own),
                "best_of_half": statistics.fmean(max(one["all"][: len(one["all"]) // 2]) for one in own),
                "mean": statistics.fmean(statistics.fmean(one["all"]) for one in own),
                "seconds": statistics.fmean(one["seconds"] for one in own),
            })  # fmt: skip
    return found
