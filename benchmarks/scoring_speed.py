"""Gradient matching of all normal edges: seconds against the paper's procedure, and whether the outcome is the same.

The paper's procedure makes a forward and a backward pass for each candidate of each edge on 100 batches, keeps all
gradients and compares every pair. Its seconds are measured on a few batches of every edge and multiplied; its outcome
is computed from the same 100 batches by the one-pass Gram matrix, which equals explicit backward passes (a test).
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.results import Row, data_name, machine
from nasengine.data import ImageDataset, batches
from nasengine.data.batches import Batch
from nasengine.graph.supergraph import ChoiceKey
from nasengine.protocols import NetworkConfig, SupernetSpace, TrainingRecipe
from nasengine.randomness import seed_of, seeded_generator
from nasengine.supernet import ArchitectureWeights, Mixture, Supernet
from nasengine.supernet.splitting import PRESETS, EdgeScore, GradientMatching, best_edge, score_edges
from nasengine.supernet.training import ArchitectureTraining, DifferentiableTraining, kept_statistics

CHANNELS, CELLS, IMAGE_SIZE, BATCH_SIZE, EPOCHS = 4, 3, 16, 16, 2
NUM_TRAIN_IMAGES, PAPER_BATCHES, TIMED_BATCHES, PAPER_IMAGES = 2_000, 100, 1, 25_000


def run(space: SupernetSpace, dataset: ImageDataset, *, seed: int) -> Row:
    """One row: seconds of both, their outcomes, and the share of the training that splits of the paper's run serve."""
    reduced = dataset.reduced(NUM_TRAIN_IMAGES, 1000, IMAGE_SIZE, seed)
    supernet, seconds_per_image = _trained(space, reduced, seed)
    edges = _edges(space)
    mixture = ArchitectureWeights(space.topology).mixture(detach=True)
    textbook = _paper_seconds(supernet, edges, mixture, _feed(reduced, seed)) * PAPER_BATCHES / TIMED_BATCHES
    settings = GradientMatching(max_batches=PAPER_BATCHES)
    begin = time.perf_counter()
    ours = best_edge(score_edges(supernet, edges, repeat(mixture), _feed(reduced, seed), settings=settings))
    seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    everything = replace(settings, stability=None)
    scores = score_edges(supernet, edges, repeat(mixture), _feed(reduced, seed), settings=everything)
    all_seconds = time.perf_counter() - begin
    paper = best_edge(scores)
    return {
        "benchmark": "splitting", "method": "gradient matching", "space": space.name, "data": data_name(dataset),
        "seed": seed, "channels": CHANNELS, "cells": CELLS, "batch_size": BATCH_SIZE, "machine": machine(),
        "seconds": round(seconds, 1), "paper_seconds": round(textbook, 1), "share": round(seconds / textbook, 4),
        "seconds_of_all_batches": round(all_seconds, 1), "num_batches": ours.num_batches,
        "share_of_training": round(_share_of_training(seconds, seconds_per_image), 4),
        **_outcome("", ours), **_outcome("paper_", paper),
        "same": (ours.key, ours.picks()) == (paper.key, paper.picks()),
        "gap": round(_gap(scores, ours), 5),
    }  # fmt: skip


def _trained(space: SupernetSpace, dataset: ImageDataset, seed: int) -> tuple[Supernet, float]:
    """A supernet after a few epochs, and the seconds that each image of an epoch took."""
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, CHANNELS, CELLS, searching=True)
    supernet = Supernet(space, config, seed_of(seed, "supernet"))
    recipe = TrainingRecipe(epochs=EPOCHS, batch_size=BATCH_SIZE)
    training = DifferentiableTraining(
        supernet, ArchitectureWeights(space.topology), dataset, recipe, architecture=ArchitectureTraining(), seed=seed
    )
    begin = time.perf_counter()
    for epoch in range(EPOCHS):
        training.run_step(epoch)
    return supernet, (time.perf_counter() - begin) / EPOCHS / len(dataset.train)


def _edges(space: SupernetSpace) -> dict[ChoiceKey, tuple[int, ...]]:
    """All edges of the first kind of cell, with the candidates that an architecture may have."""
    topology, kind = space.topology, space.topology.kinds[0]
    return {
        (kind, edge): tuple(
            pick for pick, name in enumerate(topology.candidates[kind][edge]) if name not in topology.search_only
        )
        for edge in range(len(topology.edges))
    }


def _share_of_training(seconds: float, seconds_per_image: float) -> float:
    """Of all splits of the paper's run, in the training that they serve.

    Args:
        seconds: of one split.
        seconds_per_image: of the training.
    """
    schedule = PRESETS["darts"]
    levels = range(schedule.num_splits)
    epochs = schedule.warmup_epochs + sum(2**level * schedule.epochs_between for level in levels[1:])
    epochs += 2**schedule.num_splits * schedule.leaf_epochs
    return sum(2**level for level in levels) * seconds / (epochs * PAPER_IMAGES * seconds_per_image)


def _outcome(prefix: str, score: EdgeScore) -> dict[str, Any]:
    return {f"{prefix}edge": list(score.key), f"{prefix}groups": score.picks(), f"{prefix}value": round(score.value, 5)}


def _gap(scores: list[EdgeScore], chosen: EdgeScore) -> float:
    """How much worse, by all batches, the edge is that was chosen early."""
    values = {score.key: score.value for score in scores}
    return values[chosen.key] - min(values.values())


def _feed(dataset: ImageDataset, seed: int) -> Iterator[Batch]:
    number = 0
    while True:
        generator = seeded_generator(seed, "scoring", number)
        yield from batches(dataset.train, dataset, BATCH_SIZE, generator, dataset.augmentation)
        number += 1


def _paper_seconds(
    supernet: Supernet, edges: dict[ChoiceKey, tuple[int, ...]], mixture: Mixture, feed: Iterator[Batch]
) -> float:
    """Textbook procedure on some batches of every edge: one backward pass for each candidate, then all pairs."""
    begin = time.perf_counter()
    for _ in range(TIMED_BATCHES):
        images, labels = next(feed)
        for key, picks in edges.items():
            own = set(supernet.candidate_parameters(key))
            vectors = []
            for pick in picks:
                weights = {kind: rows.clone() for kind, rows in mixture.weights.items()}
                weights[key[0]][key[1]] = 0.0
                weights[key[0]][key[1], pick] = 1.0
                with kept_statistics(supernet):
                    active = {**supernet.allowed, key: (pick,)}
                    F.cross_entropy(supernet(images, Mixture(weights, active)), labels).backward()
                vectors.append(_gradient(supernet, own))
            torch.stack([F.cosine_similarity(a, b, dim=0, eps=1e-6) for a in vectors for b in vectors])
    return time.perf_counter() - begin


def _gradient(supernet: Supernet, own: set[str]) -> Tensor:
    parts = [
        (weight.grad if weight.grad is not None else torch.zeros_like(weight)).reshape(-1)
        for name, weight in supernet.named_parameters()
        if name not in own
    ]
    supernet.zero_grad(set_to_none=True)
    return torch.cat(parts)
