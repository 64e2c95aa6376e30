"""Images and labels: where they come from, how they are split, and how they are fed to a network."""

from nasengine.data.batches import Augmentation, batches, evaluation_batches
from nasengine.data.dataset import ImageDataset, Split
from nasengine.data.sources import load_dataset

__all__ = ["Augmentation", "ImageDataset", "Split", "batches", "evaluation_batches", "load_dataset"]
