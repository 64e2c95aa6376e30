"""How alike the network's answers change around different images (Mellor et al., 2020, arXiv 2006.04647, version 1)."""

import torch
from torch import Tensor

OFFSET = 1e-5


def jacobian_score(gradients: Tensor) -> float:
    """Score of the correlations between the gradients of different images: 0 correlation is best.

    With v the eigenvalues of the correlation matrix and k = 1e-5, it is ``-sum(log(v + k) + 1 / (v + k))``. Images
    whose gradient is constant, so that correlations are not defined, count as equal: a network that answers all images
    alike gets the lowest score.

    Args:
        gradients: of the sum of all class scores, shape (batch, channels, height, width).

    >>> round(jacobian_score(torch.eye(3)[:, :, None, None]), 2)
    -99990.63
    """
    rows = gradients.reshape(len(gradients), -1).double()
    rows = rows - rows.mean(1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    is_constant = (norms == 0).flatten()
    rows = rows / norms.clamp_min(torch.finfo(rows.dtype).tiny)
    correlations = rows @ rows.T
    correlations[is_constant[:, None] & is_constant[None, :]] = 1.0
    # Rounding can leave eigenvalues of 0 slightly below.
    values = torch.linalg.eigvalsh(correlations.cpu()).clamp_min(0.0) + OFFSET
    return -float((values.log() + 1 / values).sum())
