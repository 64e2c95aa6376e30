"""How many computation graphs a second come out of random genotypes, without any weights.

python benchmarks/graph_construction.py [--seconds 3] [--json]
"""

import argparse
import json
import random
import time

from nasengine import registry
from nasengine.graph import cost, fingerprint


def measure(name: str, seconds: float) -> dict[str, float | str]:
    """Graphs a second of one space, and what fingerprints and costs add."""
    space = registry.load("search space", name)
    rng = random.Random(0)
    architectures = [space.sample(rng) for _ in range(500)]
    rates = {}
    for label, work in (("graphs", lambda graph: graph), ("fingerprints", fingerprint), ("costs", cost)):
        count, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            work(space.to_graph(architectures[count % len(architectures)], space.defaults))
            count += 1
        rates[f"{label}_per_second"] = round(count / (time.perf_counter() - begin), 1)
    nodes = len(space.to_graph(architectures[0], space.defaults))
    return {"space": name, "channels": space.defaults.channels, "cells": space.defaults.cells, "nodes": nodes, **rates}


def main() -> None:
    """Print one row a space."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [measure(name, options.seconds) for name in registry.names("search space")]
    if options.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(row)


if __name__ == "__main__":
    main()
