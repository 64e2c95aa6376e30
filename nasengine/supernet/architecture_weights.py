"""The architecture weights (alpha) of differentiable search."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from nasengine.cells.topology import CellTopology
from nasengine.graph.supergraph import ChoiceKey, Selection
from nasengine.supernet.choice import Mixture, Weights
from nasengine.supernet.relaxation import Relaxation, Softmax

INITIAL_STD = 1e-3


class ArchitectureWeights(nn.Module):
    """One value for every candidate of every edge and kind of cell (DARTS, Liu et al., 2019, section 2.2).

    Args:
        topology: edges and candidates.
        seed: where the initial values, normal with standard deviation 1e-3, come from.
        allowed: candidates of a sub-supernet: the others get weight 0; all of them by default.
        relaxation: what the values mean; a softmax by default.
    """

    def __init__(
        self,
        topology: CellTopology,
        seed: int = 0,
        allowed: Selection | None = None,
        relaxation: Relaxation | None = None,
    ) -> None:
        super().__init__()
        self.relaxation = relaxation or Softmax()
        generator = torch.Generator().manual_seed(seed)
        self.alpha = nn.ParameterDict()
        for kind in topology.kinds:
            counts = torch.tensor([len(names) for names in topology.candidates[kind]])
            width = int(counts.max())
            noise = torch.randn(len(counts), width, generator=generator)
            self.alpha[kind] = nn.Parameter(INITIAL_STD * noise)
            valid = torch.arange(width) < counts[:, None]
            if allowed is not None:
                for edge in range(len(counts)):
                    kept = torch.zeros(width, dtype=torch.bool)
                    kept[list(allowed[(kind, edge)])] = True
                    valid[edge] &= kept
            self.register_buffer(f"_valid_{kind}", valid, persistent=False)

    def valid(self, kind: str) -> Bool[Tensor, "num_edges num_candidates"]:
        """Where the rows of a kind of cell have a candidate that is allowed."""
        return self.get_buffer(f"_valid_{kind}")

    def mean(self) -> dict[str, Float[Tensor, "num_edges num_candidates"]]:
        """Expected mixture weights; places without a candidate get zero."""
        return {kind: self.relaxation.mean(alpha, self.valid(kind)) for kind, alpha in self.alpha.items()}

    def sample(
        self, progress: float, generator: torch.Generator
    ) -> dict[str, Float[Tensor, "num_edges num_candidates"]]:
        """Mixture weights for one batch.

        Args:
            progress: share of the training that is done.
            generator: on the CPU.
        """
        return {
            kind: self.relaxation.sample(alpha, self.valid(kind), progress, generator)
            for kind, alpha in self.alpha.items()
        }

    def sampled_mixture(self, progress: float, generator: torch.Generator, *, detach: bool) -> Mixture:
        """A mixture for one batch; where samples are sparse, it computes what they name.

        Args:
            progress: share of the training that is done.
            generator: on the CPU.
            detach: leave the weights out of the gradient; then a sparse sample needs only its heaviest candidate.
        """
        weights = self.sample(progress, generator)
        active = _active(weights, least=0.5 if detach else 0.0) if self.relaxation.is_sparse else None
        return self.mixture(active=active, detach=detach, weights=weights)

    def penalty(self, progress: float) -> Float[Tensor, ""]:
        """What the relaxation adds to the validation loss, as the mean over kinds of cells."""
        found = [self.relaxation.penalty(alpha, self.valid(kind), progress) for kind, alpha in self.alpha.items()]
        return torch.stack(found).mean()

    def mixture(
        self,
        decided: dict[ChoiceKey, int] | None = None,
        active: Selection | None = None,
        detach: bool = False,
        weights: Weights | None = None,
    ) -> Mixture:
        """The mixture that these weights stand for.

        Args:
            decided: edges that have one operation left: it gets weight 1 and the others 0.
            active: candidates that are computed at all.
            detach: leave the weights out of the gradient.
            weights: of undecided edges, such as a sample; the expected ones by default.
        """
        chosen = {kind: rows.detach() if detach else rows for kind, rows in (weights or self.mean()).items()}
        for kind, rows in chosen.items():
            picks = {edge: pick for (owner, edge), pick in (decided or {}).items() if owner == kind}
            if picks:
                edges = torch.tensor(list(picks), device=rows.device)
                hard = torch.zeros(len(picks), rows.shape[1], device=rows.device)
                hard[torch.arange(len(picks)), list(picks.values())] = 1.0
                chosen[kind] = rows.index_copy(0, edges, hard)
        return Mixture(chosen, active)


def _active(weights: Weights, least: float) -> Selection:
    """Candidates whose weight is above a number."""
    rows = {kind: (values.detach().cpu() > least).tolist() for kind, values in weights.items()}
    return {
        (kind, edge): tuple(pick for pick, is_there in enumerate(row) if is_there)
        for kind, edges in rows.items()
        for edge, row in enumerate(edges)
    }
