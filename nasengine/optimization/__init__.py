"""What every training loop needs: learning rates, a guarded step, and optimizers whose state can be stored."""

from nasengine.optimization.guard import guarded_step
from nasengine.optimization.precision import layers_in
from nasengine.optimization.schedule import cosine, make_optimizer, make_sgd, set_learning_rate
from nasengine.optimization.soft_targets import divergence
from nasengine.optimization.state import load_optimizer, pack_optimizer

__all__ = [
    "cosine",
    "divergence",
    "guarded_step",
    "layers_in",
    "load_optimizer",
    "make_optimizer",
    "make_sgd",
    "pack_optimizer",
    "set_learning_rate",
]
