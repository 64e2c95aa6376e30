"""Running statistics of batch norms: kept from drifting, or measured anew for one choice of paths."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def _batch_norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


@contextmanager
def kept_statistics(module: nn.Module) -> Iterator[None]:
    """Within this context batch norms use the statistics of the batch; afterwards their running ones are as before.

    The released code of perturbation-based selection scores in train mode and lets them drift; a score should not
    change the network that it scores.
    """
    norms = _batch_norms(module)
    before = [[buffer.clone() for buffer in norm.buffers()] for norm in norms]
    was_training = module.training
    module.train()
    try:
        yield
    finally:
        module.train(was_training)
        for norm, buffers in zip(norms, before, strict=True):
            for buffer, old in zip(norm.buffers(), buffers, strict=True):
                buffer.copy_(old)


@torch.no_grad()
def recalibrate(module: nn.Module, forward: Callable[[Tensor], Tensor], images: Iterable[Tensor]) -> None:
    """Measure running statistics anew as the plain average over some batches of training images.

    Guo et al., 2020, arXiv 1904.00420 (single path one-shot), section 3.4: statistics of a supernet fit none of its
    paths, so they are recomputed for the path that is to be evaluated.

    Args:
        module: supernet or network whose batch norms are meant.
        forward: runs the path.
        images: batches of training images.
    """
    norms = _batch_norms(module)
    momenta = [norm.momentum for norm in norms]
    was_training = module.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    module.train()
    try:
        for batch in images:
            forward(batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        module.train(was_training)
