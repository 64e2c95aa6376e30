"""Heads: what turns embeddings into scores, one small network for each fuzzy cluster.

Mills et al., 2023, arXiv 2211.17226, section on the soft-clustering ensemble: the prediction is the sum of the heads of
all clusters, weighted by membership. The pairwise heads tell which of two networks is better. The paper states neither
their shape nor how a score comes of them: here the classifier is antisymmetric by construction, and a network's score
is the mean chance to beat the members of a fixed reference set.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

NUM_REFERENCES = 32
MIN_DIFFERENCE = 1e-4
"""Pairs whose targets differ by less are not learned from (the released code's threshold)."""


class ClusterHeads(nn.Module):
    """Two layers for each cluster, computed for all clusters at once.

    Args:
        input_size: numbers that describe a network.
        num_clusters: heads; 1 gives a single network.
        width: hidden numbers of a head.
    """

    def __init__(self, input_size: int, num_clusters: int, width: int = 64) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.empty(num_clusters, input_size, width))
        self.hidden_bias = nn.Parameter(torch.zeros(num_clusters, width))
        self.out = nn.Parameter(torch.empty(num_clusters, width))
        self.out_bias = nn.Parameter(torch.zeros(num_clusters))
        nn.init.normal_(self.hidden, std=1 / math.sqrt(input_size))
        nn.init.normal_(self.out, std=1 / math.sqrt(width))

    def forward(
        self, points: Float[Tensor, "networks size"], memberships: Float[Tensor, "networks clusters"]
    ) -> Float[Tensor, " networks"]:
        """Membership-weighted sum of the heads."""
        hidden = nn.functional.gelu(torch.einsum("ni,ciw->ncw", points, self.hidden) + self.hidden_bias)
        each = torch.einsum("ncw,cw->nc", hidden, self.out) + self.out_bias
        return (each * memberships).sum(1)


class PairHeads(nn.Module):
    """Says which of two networks is better; swapping them swaps the answer.

    The first layer is linear in both networks, so that each network's part of it is computed once for all its pairs.

    Args:
        input_size: numbers that describe a network.
        num_clusters: heads; a pair belongs to clusters as its two networks do, on average.
        width: hidden numbers of a head.
    """

    def __init__(self, input_size: int, num_clusters: int, width: int = 64) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.empty(num_clusters, input_size, width))
        self.right = nn.Parameter(torch.empty(num_clusters, input_size, width))
        self.bias = nn.Parameter(torch.zeros(num_clusters, width))
        self.out = nn.Parameter(torch.empty(num_clusters, width))
        for weight in (self.left, self.right):
            nn.init.normal_(weight, std=1 / math.sqrt(2 * input_size))
        nn.init.normal_(self.out, std=1 / math.sqrt(width))

    def forward(
        self,
        first: tuple[Float[Tensor, "pairs size"], Float[Tensor, "pairs clusters"]],
        second: tuple[Float[Tensor, "pairs size"], Float[Tensor, "pairs clusters"]],
    ) -> Float[Tensor, " pairs"]:
        """Log odds that the first is better; each network is given as its numbers and its memberships."""
        return self._odds(self._parts(first[0]), self._parts(second[0]), (first[1] + second[1]) / 2)

    def chances(
        self,
        networks: tuple[Float[Tensor, "networks size"], Float[Tensor, "networks clusters"]],
        references: tuple[Float[Tensor, "references size"], Float[Tensor, "references clusters"]],
    ) -> Float[Tensor, " networks"]:
        """Mean chance of each network to be better than the references."""
        mine, theirs = self._parts(networks[0]), self._parts(references[0])
        chances = torch.zeros(len(networks[0]))
        for index, share in enumerate(references[1]):
            other = theirs[0][index], theirs[1][index]
            chances += self._odds(mine, other, (networks[1] + share) / 2).sigmoid()
        return chances / len(references[0])

    def _parts(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """What a network adds to the hidden layer as the first and as the second of a pair."""
        left = torch.einsum("ni,ciw->ncw", points, self.left)
        return left, torch.einsum("ni,ciw->ncw", points, self.right) + self.bias

    def _odds(self, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], shares: Tensor) -> Tensor:
        there, back = nn.functional.gelu(first[0] + second[1]), nn.functional.gelu(second[0] + first[1])
        return (torch.einsum("ncw,cw->nc", there - back, self.out) * shares).sum(1)


@dataclass(frozen=True, eq=False)
class HeadData:
    """What heads learn from or look at.

    Args:
        points: (networks, size).
        memberships: (networks, clusters).
        targets: (networks,); zeros where there are none.
        groups: family of each network, (networks,); targets of different families are not compared.
    """

    points: Tensor
    memberships: Tensor
    targets: Tensor
    groups: Tensor

    def rows(self, index: Tensor) -> "HeadData":
        """Some of the networks."""
        return HeadData(self.points[index], self.memberships[index], self.targets[index], self.groups[index])

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class HeadTraining:
    """Settings of a head's training: Adam, and early stopping on a tenth of the networks.

    Args:
        epochs: passes, at most.
        batch_size: networks of a step.
        learning_rate: of Adam.
        weight_decay: decoupled.
        patience: epochs without a better validation loss before training stops.
        noise: standard deviation of what is added to the (standardised) points in training. Much of it makes heads
            smooth, which they have to be in families that they have not seen: with 0.1 Spearman's rho on NAS-Bench-201
            was .45 to .63, with 1 it was .75 to .78 (two encoders).
    """

    epochs: int = 30
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    patience: int = 5
    noise: float = 1.0


def train_head(head: nn.Module, data: HeadData, settings: HeadTraining, seed: int) -> float:
    """Train a head in place, and leave it as it was when its validation loss was lowest.

    Returns:
        That loss.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data), generator=generator)
    held_out = data.rows(order[: max(2, len(data) // 10)])
    training = data.rows(order[max(2, len(data) // 10) :])
    optimizer = torch.optim.AdamW(head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    best, kept, waited = math.inf, _copy(head), 0
    for _ in range(settings.epochs):
        for batch in _batches(training, settings, generator):
            loss = head_loss(head, batch)
            if loss.requires_grad:  # there may be nothing to compare
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            value = float(head_loss(head, held_out))
        best, kept, waited = (value, _copy(head), 0) if value < best else (best, kept, waited + 1)
        if waited >= settings.patience:
            break
    head.load_state_dict(kept)
    return best


def head_loss(head: nn.Module, data: HeadData) -> Tensor:
    """Huber loss of scores; for pairs, cross-entropy of each network against its right neighbours in the batch."""
    if isinstance(head, ClusterHeads):
        return nn.functional.smooth_l1_loss(head(data.points, data.memberships), data.targets)
    losses, count = torch.zeros(()), 0
    for shift in range(1, min(5, len(data))):
        other = data.rows(torch.arange(len(data)).roll(shift))
        difference = data.targets - other.targets
        kept = (difference.abs() >= MIN_DIFFERENCE) & (data.groups == other.groups)
        if bool(kept.any()):
            odds = head((data.points[kept], data.memberships[kept]), (other.points[kept], other.memberships[kept]))
            wins = (difference[kept] > 0).float()
            losses = losses + nn.functional.binary_cross_entropy_with_logits(odds, wins, reduction="sum")
            count += int(kept.sum())
    return losses / max(1, count)


def head_scores(head: nn.Module, data: HeadData, references: HeadData | None = None) -> Tensor:
    """Scores of networks, (networks,): predicted targets, or mean chances to beat the references."""
    with torch.no_grad():
        if isinstance(head, ClusterHeads):
            return head(data.points, data.memberships)
        assert isinstance(head, PairHeads)
        assert references is not None
        return head.chances((data.points, data.memberships), (references.points, references.memberships))


def _batches(data: HeadData, settings: HeadTraining, generator: torch.Generator) -> Iterator[HeadData]:
    for index in torch.randperm(len(data), generator=generator).split(settings.batch_size):
        batch = data.rows(index)
        noise = torch.randn(batch.points.shape, generator=generator) * settings.noise
        yield HeadData(batch.points + noise, batch.memberships, batch.targets, batch.groups)


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}
