"""Ways to train a supernet, each a task whose steps are epochs."""

from nasengine.supernet.training.batch_norm import kept_statistics, recalibrate
from nasengine.supernet.training.differentiable import ArchitectureTraining, DifferentiableTraining
from nasengine.supernet.training.single_path import SinglePathTraining

__all__ = [
    "ArchitectureTraining",
    "DifferentiableTraining",
    "SinglePathTraining",
    "kept_statistics",
    "recalibrate",
]
