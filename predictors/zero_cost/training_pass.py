"""One forward pass in training mode, and one backward pass, for all proxies that need no more."""

from contextlib import ExitStack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasengine.errors import DataError
from predictors.zero_cost.activation_codes import ActivationCodes
from predictors.zero_cost.batch import ProxyBatch
from predictors.zero_cost.jacobian import jacobian_score
from predictors.zero_cost.layers import layer_weights
from predictors.zero_cost.saliency import FisherInformation, norm_sum, snip_score
from predictors.zero_cost.undisturbed import class_scores, undisturbed

_OF_LOSS = {"grad_norm", "snip", "fisher"}
NAMES = ("nwot", "jacov", "grad_norm", "snip", "fisher", "l2_norm")


def training_pass(network: nn.Module, batch: ProxyBatch, names: frozenset[str], seed: int) -> dict[str, float]:
    """Values of those of ``NAMES`` that are asked for.

    The forward pass serves all of them; ``grad_norm``, ``snip`` and ``fisher`` share a backward pass from the loss,
    and ``jacov`` has one of its own, from the sum of the class scores to the images.
    """
    weights = layer_weights(network) if names - {"nwot", "jacov"} else {}
    values = {"l2_norm": norm_sum(list(weights.values()))} if "l2_norm" in names else {}
    if names == {"l2_norm"}:
        return values
    weights = {name: weight.requires_grad_(bool(names & _OF_LOSS)) for name, weight in weights.items()}
    images = batch.images.detach().requires_grad_("jacov" in names)
    codes, fisher = ActivationCodes(len(images)), FisherInformation(network)
    with ExitStack() as stack:
        stack.enter_context(undisturbed(network, seed))
        stack.enter_context(torch.set_grad_enabled(bool(names & {*_OF_LOSS, "jacov"})))
        if "fisher" in names:
            stack.enter_context(fisher.watching())
        if "nwot" in names:
            stack.enter_context(codes)
        scores = class_scores(network, images, weights)
    if "nwot" in names:
        values["nwot"] = codes.score()
    if names & _OF_LOSS:
        gradients = _loss_gradients(scores, batch.labels, list(weights.values()), keeps_graph="jacov" in names)
        values["grad_norm"] = norm_sum(gradients)
        values["snip"] = snip_score([weight.detach() for weight in weights.values()], gradients)
        values["fisher"] = fisher.score()
    if "jacov" in names:
        values["jacov"] = jacobian_score(_image_gradients(scores, images))
    return values


def _loss_gradients(scores: Tensor, labels: Tensor, weights: list[Tensor], keeps_graph: bool) -> tuple[Tensor, ...]:
    """Gradients of the mean cross-entropy; 0 where it does not depend on a weight."""
    if int(labels.min()) < 0 or int(labels.max()) >= scores.shape[1]:
        raise DataError(
            f"proxy batch: expected labels from 0 to {scores.shape[1] - 1}, as many as the network has scores, "
            f"got {int(labels.min())} to {int(labels.max())}"
        )
    loss = F.cross_entropy(scores, labels)
    return torch.autograd.grad(loss, weights, retain_graph=keeps_graph, allow_unused=True, materialize_grads=True)


def _image_gradients(scores: Tensor, images: Tensor) -> Tensor:
    """Gradients of the sum of all class scores; 0 where they do not depend on the images."""
    if not scores.requires_grad:
        return torch.zeros_like(images)
    return torch.autograd.grad(scores.sum(), [images], allow_unused=True, materialize_grads=True)[0]
