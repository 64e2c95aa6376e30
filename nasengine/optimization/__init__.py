"""What every training loop needs: learning rates, a guarded step, its share of a batch, and optimizers to be stored."""

from nasengine.optimization.data_parallel import (
    averaged_statistics,
    check_batches,
    check_same,
    from_first_process,
    is_first_process,
    num_processes,
    own_generator,
    share_of,
    sum_over_processes,
    wait_for_all,
    weighted_mean,
)
from nasengine.optimization.guard import guarded_step
from nasengine.optimization.precision import layers_in
from nasengine.optimization.schedule import cosine, make_optimizer, make_sgd, set_learning_rate
from nasengine.optimization.soft_targets import divergence
from nasengine.optimization.state import load_optimizer, pack_optimizer

__all__ = [
    "averaged_statistics",
    "check_batches",
    "check_same",
    "cosine",
    "divergence",
    "from_first_process",
    "guarded_step",
    "is_first_process",
    "layers_in",
    "load_optimizer",
    "make_optimizer",
    "make_sgd",
    "num_processes",
    "own_generator",
    "pack_optimizer",
    "set_learning_rate",
    "share_of",
    "sum_over_processes",
    "wait_for_all",
    "weighted_mean",
]
