"""Estimates an architecture with the weights of a supernet."""

from dataclasses import replace
from itertools import islice

import torch
from torch import nn

from nasengine.architecture import Architecture
from nasengine.data import ImageDataset, batches
from nasengine.evaluation.accuracy import measure
from nasengine.protocols import Evaluation
from nasengine.randomness import seeded_generator
from nasengine.supernet.training.batch_norm import recalibrate


class SharedWeightsEvaluator:
    """Validation accuracy and loss of a path, after its batch-norm statistics were measured anew on training images.

    Args:
        supernet: trained, and called with images and an architecture; its weights stay as they are, its statistics
            become those of the last path.
        dataset: statistics come from ``train``, accuracies from ``validation``.
        num_batches: batches of training images for the statistics.
        batch_size: images in each.
        seed: of the run; all paths see the same batches, and the same validation images.
        max_images: validation images, drawn at random; None takes all.
    """

    def __init__(
        self,
        supernet: nn.Module,
        dataset: ImageDataset,
        *,
        seed: int,
        num_batches: int = 8,
        batch_size: int = 128,
        max_images: int | None = None,
    ) -> None:
        self.supernet, self.dataset = supernet, dataset
        self.num_batches, self.batch_size, self.seed = num_batches, batch_size, seed
        if max_images is not None:
            order = torch.randperm(len(dataset.validation), generator=seeded_generator(seed, "compared images"))
            self.dataset = replace(dataset, validation=dataset.validation.take(order[:max_images]))

    def __call__(self, architecture: Architecture) -> Evaluation:
        """Measure a path."""
        generator = seeded_generator(self.seed, "recalibration")
        feed = batches(self.dataset.train, self.dataset, self.batch_size, generator)
        images = (batch for batch, _ in islice(feed, self.num_batches))
        recalibrate(self.supernet, lambda batch: self.supernet(batch, architecture), images)
        found = measure(
            self.supernet, self.dataset.validation, self.dataset, lambda batch: self.supernet(batch, architecture)
        )
        return Evaluation(architecture, {"accuracy": found.accuracy, "loss": found.loss})
