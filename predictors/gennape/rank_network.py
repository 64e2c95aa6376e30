"""Small networks that learn which of two networks is better (Burges et al., 2005, "RankNet"), several side by side."""

from collections.abc import Mapping

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from nasengine.randomness import seeded_generator
from predictors.gennape.inputs import MemberInputs, distinct_columns
from predictors.gennape.kernels import normal_scores
from predictors.gennape.member import fitted

BLOCK = 2048
NAMES = ("weight0", "bias0", "weight1", "bias1", "weight2", "bias2")


class RankNetwork:
    """Implements Member: the mean of several perceptrons of two hidden layers, without a standard deviation.

    Scores are only defined up to a shift and a scale by the loss; they are fitted to the targets by a line.

    Args:
        num_networks: perceptrons.
        hidden: width of their layers.
        max_steps: steps of training, at most; 300 passes over the labels if these are fewer.
    """

    def __init__(self, num_networks: int = 4, hidden: int = 128, max_steps: int = 2500) -> None:
        self.num_networks, self.hidden, self.max_steps = num_networks, hidden, max_steps
        self._weights: dict[str, Tensor] | None = None
        self._kept = numpy.zeros(0, int)

    def fit(self, inputs: MemberInputs, targets: numpy.ndarray, seed: int) -> None:
        """Train by AdamW on pairs within batches of 64."""
        self._kept = distinct_columns(inputs.columns())
        self._weights = None
        columns = _columns(inputs, self._kept)
        labels = torch.tensor(targets, dtype=torch.float32)
        generator = seeded_generator("rank network", seed)
        weights = self._drawn(columns.shape[1], generator)
        _train(weights, (columns, labels), self.max_steps, generator)
        scores = _scores(weights, columns.expand(self.num_networks, -1, -1)).mean(0)
        slope, offset = _line(scores, labels)
        weights["weight2"], weights["bias2"] = weights["weight2"] * slope, weights["bias2"] * slope + offset
        self._weights = weights

    def predict(self, inputs: MemberInputs) -> tuple[numpy.ndarray, numpy.ndarray | None]:
        """Mean, (num_networks,); no standard deviation.

        Raises:
            ConfigError: called before ``fit``.
        """
        weights = fitted(self._weights)
        columns = _columns(inputs, self._kept)
        parts = [
            _scores(weights, found.expand(len(weights["bias0"]), -1, -1)).mean(0) for found in columns.split(BLOCK)
        ]
        return torch.cat(parts).double().numpy(), None

    def tensors(self) -> Mapping[str, numpy.ndarray]:
        """Everything, as named arrays."""
        return {"columns": self._kept, **{name: found.numpy() for name, found in fitted(self._weights).items()}}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, numpy.ndarray]) -> "RankNetwork":
        """Back from named arrays."""
        member = cls(*tensors["weight1"].shape[:2])
        member._kept = tensors["columns"]
        member._weights = {name: torch.from_numpy(numpy.array(tensors[name])) for name in NAMES}
        return member

    def _drawn(self, width: int, generator: torch.Generator) -> dict[str, Tensor]:
        sizes = (width, self.hidden, self.hidden, 1)
        found = {}
        for layer, gain in enumerate((1.0, 1.4, 1.0)):
            shape = (self.num_networks, sizes[layer], sizes[layer + 1])
            found[f"weight{layer}"] = torch.randn(shape, generator=generator) * gain / sizes[layer] ** 0.5
            found[f"bias{layer}"] = torch.zeros(self.num_networks, 1, sizes[layer + 1])
        return found


def _columns(inputs: MemberInputs, kept: numpy.ndarray) -> Tensor:
    found = normal_scores(inputs.columns()[:, kept])
    if inputs.embedding is not None:
        found = numpy.hstack([found, inputs.embedding])
    return torch.from_numpy(found.astype(numpy.float32))


def _scores(weights: Mapping[str, Tensor], columns: Tensor, keep: Tensor | None = None) -> Tensor:
    """Scores, (num_networks, num_rows), of columns (num_networks, num_rows, num_columns)."""
    state = columns
    for layer in range(2):
        state = F.silu(torch.baddbmm(weights[f"bias{layer}"], state, weights[f"weight{layer}"]))
        state = state if keep is None else state * keep[layer]
    return torch.baddbmm(weights["bias2"], state, weights["weight2"])[..., 0]


def _train(weights: dict[str, Tensor], data: tuple[Tensor, Tensor], max_steps: int, generator: torch.Generator) -> None:
    """Change the weights in place."""
    columns, labels = data
    num_networks, _, hidden = weights["weight0"].shape
    size = min(64, len(labels))
    steps = min(max_steps, 300 * max(1, len(labels) // size))
    parameters = [found.requires_grad_() for found in weights.values()]
    optimizer = torch.optim.AdamW(parameters, 3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(labels), (num_networks, size), generator=generator)
        keep = (torch.rand(2, num_networks, size, hidden, generator=generator) >= 0.2) / 0.8
        scores, targets = _scores(weights, columns[rows], keep), labels[rows]
        gaps = targets[:, :, None] - targets[:, None]
        losses = F.softplus(-2 * gaps.sign() * (scores[:, :, None] - scores[:, None])) * (gaps != 0)
        optimizer.zero_grad()
        losses.mean((1, 2)).sum().backward()
        optimizer.step()
        schedule.step()
    for name in weights:
        weights[name] = weights[name].detach()


def _line(scores: Tensor, labels: Tensor) -> tuple[float, float]:
    """Slope, at least 0, and offset that bring the scores nearest to the labels."""
    centred = scores - scores.mean()
    slope = float((centred @ labels) / (centred @ centred).clamp_min(1e-12))
    slope = max(slope, 0.0)
    return slope, float(labels.mean()) - slope * float(scores.mean())
