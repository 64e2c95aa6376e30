"""How architecture weights become the weights of a mixture: deterministic, or drawn anew for every batch."""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Values = Float[Tensor, "num_edges num_candidates"]
Valid = Bool[Tensor, "num_edges num_candidates"]


@runtime_checkable
class Relaxation(Protocol):
    """A distribution over mixtures.

    ``mean`` gives the expected weights; ``sample`` draws weights for one batch; ``penalty`` is added to the validation
    loss. ``progress`` is the share of the training that is done, in [0, 1]. Places that are not valid get weight 0.
    ``is_sparse`` says that samples are zero but for a few candidates, so that the others need not be computed.
    """

    is_sparse: ClassVar[bool]

    def mean(self, alpha: Values, valid: Valid) -> Values: ...
    def sample(self, alpha: Values, valid: Valid, progress: float, generator: torch.Generator) -> Values: ...
    def penalty(self, alpha: Values, valid: Valid, progress: float) -> Float[Tensor, ""]: ...


@dataclass(frozen=True, slots=True)
class Softmax:
    """The mixture of DARTS (Liu et al., 2019, arXiv 1806.09055, equation 2).

    Args:
        beta: largest weight of the penalty of beta-DARTS (Ye et al., 2022, arXiv 2203.01665): the mean over edges of
            the log-sum-exp of their architecture weights, which keeps the weights of an edge close to one another. It
            grows linearly from 0 over the training; the paper takes 50.
    """

    beta: float = 0.0
    is_sparse: ClassVar[bool] = False

    def mean(self, alpha: Values, valid: Valid) -> Values:
        """The softmax."""
        return alpha.masked_fill(~valid, -torch.inf).softmax(1)

    def sample(self, alpha: Values, valid: Valid, progress: float, generator: torch.Generator) -> Values:
        """The softmax; nothing is drawn."""
        return self.mean(alpha, valid)

    def penalty(self, alpha: Values, valid: Valid, progress: float) -> Float[Tensor, ""]:
        """Beta decay, or zero."""
        if self.beta == 0:
            return alpha.new_zeros(())
        return self.beta * progress * alpha.masked_fill(~valid, -torch.inf).logsumexp(1).mean()


@dataclass(frozen=True, slots=True)
class GumbelSoftmax:
    """A soft sample of one operation an edge: SNAS (Xie et al., 2019, arXiv 1812.09926, equation 6).

    Args:
        first_temperature, last_temperature: of the softmax; it falls linearly. The gradient-matching paper goes from 1
            to 0.03 in the DARTS space and to 0.1 in NAS-Bench-201.
    """

    first_temperature: float = 1.0
    last_temperature: float = 0.1
    is_sparse: ClassVar[bool] = False

    def mean(self, alpha: Values, valid: Valid) -> Values:
        """Probabilities of the operations, which is what samples converge to as the temperature falls."""
        return alpha.masked_fill(~valid, -torch.inf).softmax(1)

    def sample(self, alpha: Values, valid: Valid, progress: float, generator: torch.Generator) -> Values:
        """Perturbed log-probabilities, divided by the temperature of the moment."""
        uniform = torch.rand(alpha.shape, generator=generator).clamp(1e-20, 1 - 1e-7).to(alpha)
        gumbel = -torch.log(-torch.log(uniform))
        temperature = self.first_temperature + (self.last_temperature - self.first_temperature) * progress
        logits = alpha.masked_fill(~valid, -torch.inf).log_softmax(1)
        return ((logits + gumbel) / temperature).softmax(1)

    def penalty(self, alpha: Values, valid: Valid, progress: float) -> Float[Tensor, ""]:
        """None."""
        return alpha.new_zeros(())


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Weights drawn from a Dirichlet distribution: DrNAS (Chen et al., 2021, arXiv 2006.10355).

    Concentrations are ``elu(alpha) + 1``. The gradient goes through the sample (implicit reparameterisation).

    Args:
        anchor_weight: of the penalty, the divergence from the symmetric distribution with concentrations 1, summed
            over edges; 0.001 in the paper's code.
    """

    anchor_weight: float = 1e-3
    is_sparse: ClassVar[bool] = False

    def mean(self, alpha: Values, valid: Valid) -> Values:
        """Shares of the concentrations."""
        kept = _concentration(alpha).masked_fill(~valid, 0.0)
        return kept / kept.sum(1, keepdim=True)

    def sample(self, alpha: Values, valid: Valid, progress: float, generator: torch.Generator) -> Values:
        """Normalised gamma variates."""
        # The draw is made on the CPU, so that it is the same on every device.
        drawn = torch._standard_gamma(_concentration(alpha).cpu(), generator=generator).to(alpha.device)
        drawn = drawn.clamp_min(torch.finfo(drawn.dtype).tiny).masked_fill(~valid, 0.0)
        return drawn / drawn.sum(1, keepdim=True)

    def penalty(self, alpha: Values, valid: Valid, progress: float) -> Float[Tensor, ""]:
        """Divergence from the symmetric distribution."""
        total = alpha.new_zeros(())
        for row, kept in zip(_concentration(alpha), valid, strict=True):
            found, anchor = (
                torch.distributions.Dirichlet(row[kept]),
                torch.distributions.Dirichlet(torch.ones(int(kept.sum())).to(row)),
            )
            total = total + torch.distributions.kl_divergence(found, anchor)
        return self.anchor_weight * total


@dataclass(frozen=True, slots=True)
class BinaryGates:
    """One path a batch, with gradients for two: ProxylessNAS (Cai et al., 2019, arXiv 1812.00332, section 3.2).

    Of each edge two candidates are drawn by their probabilities, and one of the two by theirs among these. It has
    weight 1; the gradient of a weight goes to the architecture weights of both, by the softmax over the two.
    """

    is_sparse: ClassVar[bool] = True
    _open: ClassVar[float] = 1e-30
    """Weight of the second: nothing in a sum, but not zero, since its output is needed for the gradient."""

    def mean(self, alpha: Values, valid: Valid) -> Values:
        """Probabilities of the candidates."""
        return alpha.masked_fill(~valid, -torch.inf).softmax(1)

    def sample(self, alpha: Values, valid: Valid, progress: float, generator: torch.Generator) -> Values:
        """Weight 1 for one candidate of each edge."""
        kept = alpha.masked_fill(~valid, -torch.inf)
        # The largest of logits plus Gumbel noise are draws without replacement (Vieira, 2014).
        uniform = torch.rand(alpha.shape, generator=generator).clamp(1e-20, 1 - 1e-7).to(alpha)
        noisy = (kept.detach() - torch.log(-torch.log(uniform))).masked_fill(~valid, -torch.inf)
        pair = noisy.topk(min(2, alpha.shape[1]), dim=1).indices
        chances = kept.gather(1, pair).softmax(1)
        first = torch.rand(len(alpha), generator=generator).to(alpha) < chances[:, 0].detach()
        hard = torch.full_like(chances, self._open).masked_fill(~valid.gather(1, pair), 0.0)
        hard[torch.arange(len(alpha)), (~first).long()] = 1.0
        return torch.zeros_like(alpha).scatter(1, pair, hard + (chances - chances.detach()))

    def penalty(self, alpha: Values, valid: Valid, progress: float) -> Float[Tensor, ""]:
        """None."""
        return alpha.new_zeros(())


def _concentration(alpha: Values) -> Values:
    return F.elu(alpha) + 1
