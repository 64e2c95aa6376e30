"""A training step that stops before a number that is not finite reaches the weights."""

import math

import torch
from torch import Tensor, nn

from nasengine.errors import TrainingError
from nasengine.optimization.data_parallel import average_gradients, sum_over_processes


def guarded_step(
    loss: Tensor, optimizer: torch.optim.Optimizer, *, clip: float | None = None, where: str, share: float = 1.0
) -> float:
    """Backward pass, clipping and update, along the mean gradient where several processes share a batch.

    Args:
        loss: scalar to minimise.
        optimizer: holds the parameters.
        clip: largest norm of the gradient.
        where: task, epoch and step, for the message.
        share: of the batch that this process has, whose mean loss it gives.

    Returns:
        The loss of the whole batch.

    Raises:
        TrainingError: loss or gradient are not finite, in any process; the weights are as they were before the step.
    """
    value = sum_over_processes(loss.detach() * share)
    rate = optimizer.param_groups[0]["lr"]
    if not math.isfinite(value):
        raise _diverged(where, "loss", value, rate)
    optimizer.zero_grad()
    loss.backward()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    average_gradients(parameters, share)
    norm = nn.utils.clip_grad_norm_(parameters, math.inf if clip is None else clip)
    if not math.isfinite(norm):
        raise _diverged(where, "gradient norm", float(norm), rate)
    optimizer.step()
    return value


def _diverged(where: str, what: str, value: float, rate: float) -> TrainingError:
    return TrainingError(
        f"{where}: expected a finite {what}, got {value} at learning rate {rate:.4g}; the last good "
        "checkpoint is kept; start a new run with a tenth of that (--learning-rate), or look for broken images"
    )
