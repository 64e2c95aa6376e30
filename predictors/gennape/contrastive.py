"""The contrastive loss of GENNAPE: graphs with alike spectra attract each other.

Mills et al., 2023, arXiv 2211.17226, equation 1: each graph is encoded twice with other numbers dropped (Gao et al.,
2021, arXiv 2104.08821); every view is an anchor whose similarities to all other views, as a softmax, should equal a
softmax over spectral distances. The paper writes the softmax of the distance itself; graphs that are alike should
attract, so the negative distance is used. A view's twin has distance zero and the largest weight.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def contrastive_loss(
    first: Float[Tensor, "graphs projection"],
    second: Float[Tensor, "graphs projection"],
    spectra: Float[Tensor, "graphs eigenvalues"],
    *,
    temperature: float = 0.1,
    target_temperature: float = 0.05,
) -> Tensor:
    """Cross-entropy between similarities of views and distances of spectra, mean over views.

    Args:
        first: projections of the graphs; they are brought to unit length here.
        second: projections of the same graphs' other views.
        spectra: eigenvalues of the graphs.
        temperature: of the similarities.
        target_temperature: of the distances (0.05 in Han et al., 2023, arXiv 2302.10835).
    """
    views = torch.nn.functional.normalize(torch.cat([first, second]), dim=1)
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    similarities = (views @ views.T / temperature).masked_fill(itself, float("-inf"))
    targets = soft_targets(spectra, target_temperature)
    return -(targets * similarities.log_softmax(dim=1).masked_fill(itself, 0.0)).sum(dim=1).mean()


def soft_targets(spectra: Float[Tensor, "graphs eigenvalues"], temperature: float) -> Float[Tensor, "views views"]:
    """What the similarities of two views of each graph should be; rows sum to 1, and no view counts for itself."""
    both = torch.cat([spectra, spectra])
    distances = torch.cdist(both, both, compute_mode="donot_use_mm_for_euclid_dist")
    itself = torch.eye(len(both), dtype=torch.bool, device=both.device)
    return (-distances / temperature).masked_fill(itself, float("-inf")).softmax(dim=1)
