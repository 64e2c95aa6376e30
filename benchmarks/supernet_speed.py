"""Speed and memory of the supernet against the textbook implementation of the same mathematics.

Both run in this process, in turns, so that a busy machine slows both; peak memory is measured in a process for each.
"""

import json
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.results import Row, machine
from nasengine.errors import ConfigError

SIZES = {"darts": (16, 8), "nasbench201": (16, 5)}
CLASSES, IMAGE = 10, (3, 32, 32)


def run(space: str, batch_size: int, *, repeats: int, threads: int) -> Row:
    """One row: forward and backward pass of a weight step, both implementations.

    Args:
        space: ``darts`` (16 channels, 8 cells) or ``nasbench201`` (16 channels, 5 cells a stage).
        batch_size: images of 32x32.
        repeats: measurements of each; the median counts.
        threads: of torch.
    """
    import torch

    if space not in SIZES:
        raise ConfigError(f"--space: expected one of {', '.join(SIZES)}, got {space!r}")
    if batch_size < 2:
        raise ConfigError(f"--batch: expected 2 or more images, got {batch_size}")
    torch.set_num_threads(threads)
    ours, reference = (make_step(space, name, batch_size) for name in ("ours", "reference"))
    deviation = float((ours() - reference()).abs().max())  # also the warm-up
    seconds: dict[str, list[float]] = {"ours": [], "reference": []}
    for _ in range(repeats):
        for name, step in (("reference", reference), ("ours", ours)):
            begin = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    peaks = {name: _peak_bytes(space, name, batch_size, threads) for name in ("ours", "reference")}
    channels, cells = SIZES[space]
    return {
        "benchmark": "supernet", "method": "forward and backward", "space": space, "data": "random images",
        "batch_size": batch_size, "channels": channels, "cells": cells, "seed": 0, "threads": threads,
        "machine": machine(), "seconds": medians["ours"], "reference_seconds": medians["reference"],
        "speed_up": medians["reference"] / medians["ours"],
        "all_seconds": seconds["ours"], "all_reference_seconds": seconds["reference"],
        "peak_bytes": peaks["ours"], "reference_peak_bytes": peaks["reference"],
        "memory_share": peaks["ours"] / peaks["reference"], "max_deviation": deviation,
    }  # fmt: skip


def make_step(space_name: str, which: str, batch_size: int) -> Any:
    """A function that runs forward and backward and returns the logits.

    As in the released code, architecture weights take part in the gradient of the reference's weight step; ours leaves
    them out, which changes no gradient of a weight.
    """
    import torch
    import torch.nn.functional as F

    from benchmarks.reference_supernet import reference_of
    from nasengine import registry
    from nasengine.protocols import NetworkConfig
    from nasengine.supernet import ArchitectureWeights, Supernet

    space = registry.load("search space", space_name)
    channels, cells = SIZES[space_name]
    supernet = Supernet(space, NetworkConfig(CLASSES, IMAGE, channels, cells, searching=True), seed=0)
    alphas = ArchitectureWeights(space.topology, seed=0)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch_size, *IMAGE, generator=generator)
    labels = torch.randint(CLASSES, (batch_size,), generator=generator)
    if which == "ours":
        module: torch.nn.Module = supernet
        forward = lambda: supernet(images, alphas.mixture(detach=True))  # noqa: E731
    else:
        module = reference_of(supernet)
        forward = lambda: module(images, alphas.mean())  # noqa: E731

    def step() -> torch.Tensor:
        module.zero_grad(set_to_none=True)
        alphas.zero_grad(set_to_none=True)
        logits = forward()
        F.cross_entropy(logits, labels).backward()
        return logits.detach()

    return step


def _peak_bytes(space: str, which: str, batch_size: int, threads: int) -> int:
    """Peak resident memory of a process that makes two steps; Linux only."""
    code = (
        "import json, torch\n"
        "from benchmarks.supernet_speed import make_step\n"
        f"torch.set_num_threads({threads})\n"
        f"step = make_step({space!r}, {which!r}, {batch_size})\n"
        "step(); step()\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "print(json.dumps(int(status['VmHWM'].split()[0]) * 1024))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["killed"])[-1]
        raise ConfigError(f"memory of {which}: expected a process that ends well, got {reason}; use smaller batches")
    return json.loads(done.stdout)
