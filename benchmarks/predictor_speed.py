"""How many networks a second the shipped predictor scores, from genotypes, and what memory that takes."""

import random
import resource
import time
from collections.abc import Iterator

from benchmarks.results import Row, machine
from nasengine import registry
from nasengine.graph import ComputationGraph
from nasengine.protocols import SearchSpace
from predictors.gennape.gennape import Gennape


def run(space_name: str, count: int, *, threads: int) -> Row:
    """Score distinct genotypes in one call: graphs, features, encoder, ensemble.

    Args:
        space_name: a space with at least so many architectures.
        count: genotypes.
        threads: of torch.
    """
    import torch

    torch.set_num_threads(threads)
    space = registry.load("search space", space_name)
    texts = _distinct(space, count)
    predictor = Gennape.load_pretrained()
    predictor.predict(_graphs(space, texts[:500]))  # imports and caches
    before = _peak_bytes()
    begin = time.perf_counter()
    found = predictor.predict(_graphs(space, texts))
    seconds = time.perf_counter() - begin
    return {
        "benchmark": "predictor speed", "space": space_name, "networks": len(found.mean), "threads": threads,
        "seconds": round(seconds, 2), "networks_per_second": round(len(found.mean) / seconds, 1),
        "peak_bytes_before": before, "peak_bytes": _peak_bytes(), "machine": machine(),
    }  # fmt: skip


def _distinct(space: SearchSpace, count: int) -> list[str]:
    rng = random.Random(0)
    texts: dict[str, None] = {}
    while len(texts) < count:
        texts[space.format(space.sample(rng))] = None
    return list(texts)


def _graphs(space: SearchSpace, texts: list[str]) -> Iterator[ComputationGraph]:
    return (space.to_graph(space.parse(text), space.defaults) for text in texts)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
