"""The second-order architecture gradient of DARTS (Liu et al., 2019, arXiv 1806.09055, equations 7 and 8)."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from nasengine.data.batches import Batch
from nasengine.optimization import share_of, weighted_mean
from nasengine.supernet.architecture_weights import ArchitectureWeights
from nasengine.supernet.choice import Mixture
from nasengine.supernet.supernet import Supernet

FINITE_DIFFERENCE_RADIUS = 1e-2


def unrolled_gradients(
    supernet: Supernet,
    alphas: ArchitectureWeights,
    mixture: Callable[[bool], Mixture],
    batch: Batch,
    held_out: Batch,
    optimizer: torch.optim.SGD,
) -> tuple[Tensor, list[Tensor]]:
    """Validation loss after one training step of the weights, and its gradient with respect to the architecture.

    The step repeats the optimizer's update (learning rate, momentum, weight decay). The product of the mixed second
    derivative with a vector v is a central difference with radius 0.01 / |v|. Neither weights nor running statistics
    of the supernet change. Where several processes share the batches, every gradient is that of the whole batch.

    Args:
        supernet: at weights w.
        alphas: architecture weights.
        mixture: gives their mixture.
        batch: training images for the step.
        held_out: validation images for the loss after it.
        optimizer: of the weights.

    Returns:
        The loss of this process's share of ``held_out``, and one gradient for each parameter of ``alphas``.
    """
    weights = {name: weight.detach() for name, weight in supernet.named_parameters()}
    rate = optimizer.param_groups[0]["lr"]
    (own_batch, share), (own_held_out, held_out_share) = share_of(batch), share_of(held_out)
    stepped = _stepped(supernet, weights, mixture, own_batch, optimizer, share)
    targets = list(alphas.parameters())
    loss = _loss(supernet, stepped, mixture(False), own_held_out)
    gradients = _gradients(loss, [*targets, *stepped.values()], held_out_share)
    direct, direction = gradients[: len(targets)], dict(zip(stepped, gradients[len(targets) :], strict=True))
    radius = _radius(direction)
    sides = []
    for sign in (1.0, -1.0):
        moved = {name: weight + sign * radius * direction[name] for name, weight in weights.items()}
        sides.append(_gradients(_loss(supernet, moved, mixture(False), own_batch), targets, share))
    differences = [(plus - minus, 2 * radius) for plus, minus in zip(*sides, strict=True)]
    return loss.detach(), [first - rate * rise / run for first, (rise, run) in zip(direct, differences, strict=True)]


def _radius(direction: dict[str, Tensor]) -> Tensor:
    """Half the width of the central difference."""
    norm = torch.stack([part.norm() for part in direction.values()]).norm()
    return FINITE_DIFFERENCE_RADIUS / norm.clamp(min=1e-12)


def _stepped(
    supernet: Supernet,
    weights: dict[str, Tensor],
    mixture: Callable[[bool], Mixture],
    batch: Batch,
    optimizer: torch.optim.SGD,
    share: float,
) -> dict[str, Tensor]:
    """Weights after one update by SGD with momentum, ready to be differentiated."""
    settings = optimizer.param_groups[0]
    leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    loss = _loss(supernet, leaves, mixture(True), batch)
    gradients = _gradients(loss, list(leaves.values()), share)
    stepped = {}
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        buffer = optimizer.state[supernet.get_parameter(name)].get("momentum_buffer")
        update = gradient + settings["weight_decay"] * weight
        if buffer is not None:
            update = update + settings["momentum"] * buffer
        stepped[name] = (weight - settings["lr"] * update).requires_grad_()
    return stepped


def _loss(supernet: Supernet, weights: dict[str, Tensor], mixture: Mixture, batch: Batch) -> Tensor:
    buffers = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    return F.cross_entropy(functional_call(supernet, {**weights, **buffers}, (batch[0], mixture)), batch[1])


def _gradients(loss: Tensor, targets: Sequence[Tensor], share: float) -> list[Tensor]:
    """Gradients of the whole batch's mean loss; zeros where it does not depend on a target."""
    found = torch.autograd.grad(loss, targets, allow_unused=True)
    own = [torch.zeros_like(target) if one is None else one for one, target in zip(found, targets, strict=True)]
    return weighted_mean(own, share)
