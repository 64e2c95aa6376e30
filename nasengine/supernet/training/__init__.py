"""Ways to train a supernet, each a task whose steps are epochs."""

from nasengine.supernet.training.batch_norm import kept_statistics, recalibrate
from nasengine.supernet.training.differentiable import (
    ARCHITECTURE_TRAININGS,
    ArchitectureTraining,
    DifferentiableTraining,
)
from nasengine.supernet.training.single_path import SinglePathTraining

__all__ = [
    "ARCHITECTURE_TRAININGS",
    "ArchitectureTraining",
    "DifferentiableTraining",
    "SinglePathTraining",
    "kept_statistics",
    "recalibrate",
]
