"""Learning from what another network answers."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Logits = Float[Tensor, "batch num_classes"]


def divergence(logits: Logits, wanted: Logits, temperature: float = 1.0) -> Float[Tensor, ""]:
    """How far scores are from wanted ones: Hinton et al., 2015, arXiv 1503.02531, section 2.

    ``T^2 * KL(wanted || found)`` with both softened by the temperature ``T``, mean over images; no gradient goes to the
    wanted ones.

    Args:
        logits: of the network that learns.
        wanted: of the other.
        temperature: above 0.

    >>> import torch
    >>> divergence(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.0]])).item()
    0.0
    """
    target = F.log_softmax(wanted.detach().float() / temperature, dim=1)
    found = F.log_softmax(logits / temperature, dim=1)
    return temperature**2 * F.kl_div(found, target, reduction="batchmean", log_target=True)
