"""Pretraining of the encoder on graphs without labels.

The contrastive loss of GENNAPE makes graphs of alike topology attract each other, whatever their operations are. That
alone would put networks of other operations together, so an auxiliary head learns, by default, what can be known of a
network without training it: its costs and path features, and zero-cost proxies where they were measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from nasengine.errors import ConfigError, TrainingError
from nasengine.graph import ComputationGraph
from nasengine.optimization import cosine, set_learning_rate
from nasengine.optimization.state import load_optimizer, pack_optimizer
from nasengine.protocols import TaskState, TrainingRecipe
from nasengine.randomness import seed_of, seeded_generator
from predictors.gennape.contrastive import contrastive_loss
from predictors.gennape.encoder import EncoderConfig, GraphEncoder
from predictors.gennape.message_plan import MessagePlan
from predictors.gennape.spectrum import laplacian_spectra
from predictors.graph_batch import GraphBatch
from predictors.predictor_batch import predictor_batch, predictor_features

CHUNK = 500
STANDARDISATION_GRAPHS = 2000
MIN_GRAPHS = 4
"""Two to learn from and two to tell when to stop, since the contrastive loss compares graphs."""


@dataclass(frozen=True)
class PretrainingConfig:
    """Settings of pretraining.

    Args:
        epochs: passes over the graphs.
        batch_size: graphs of a step, each seen twice.
        learning_rate: of Adam, decaying by half a cosine.
        projection_size: of the vectors that are compared.
        contrastive_weight, auxiliary_weight: of the two losses; 0 leaves one out.
        held_out: share of the graphs that is not learned from, but tells when to stop.
        patience: epochs without a lower loss on these before pretraining stops.
    """

    epochs: int = 12
    batch_size: int = 256
    learning_rate: float = 2e-3
    projection_size: int = 64
    contrastive_weight: float = 1.0
    auxiliary_weight: float = 1.0
    held_out: float = 0.05
    patience: int = 5

    def __post_init__(self) -> None:
        if self.contrastive_weight == self.auxiliary_weight == 0:
            raise ConfigError("pretraining: expected a contrastive or an auxiliary loss, got weight 0 for both")


@dataclass(frozen=True, eq=False)
class UnlabelledPool:
    """Graphs and what is known of them without training.

    Args:
        graphs: of any spaces.
        spectra: smallest eigenvalues, (num_graphs, num_eigenvalues).
        targets: standardised features and proxies, (num_graphs, num_targets); nan where one was not measured.
    """

    graphs: Sequence[ComputationGraph]
    spectra: numpy.ndarray
    targets: numpy.ndarray

    @classmethod
    def of(cls, graphs: Sequence[ComputationGraph], proxies: numpy.ndarray | None = None) -> "UnlabelledPool":
        """Work out spectra and features; ``proxies``, (num_graphs, num_proxies), are targets as well."""
        spectra, features = [], []
        for begin in range(0, len(graphs), CHUNK):
            batch = predictor_batch(graphs[begin : begin + CHUNK])
            spectra.append(laplacian_spectra(batch))
            features.append(predictor_features(batch))
        targets = numpy.vstack(features)
        if proxies is not None:
            targets = numpy.hstack([targets, proxies])
        return cls(graphs, numpy.vstack(spectra), _standardised(targets))


class Pretraining:
    """Implements the Task protocol: a step is an epoch.

    The encoder is the one of the epoch with the lowest loss on graphs that are held out.
    """

    def __init__(self, pool: UnlabelledPool, encoder: EncoderConfig, config: PretrainingConfig, *, seed: int) -> None:
        self.pool, self.config, self.seed = pool, config, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = GraphEncoder(encoder)
            size = encoder.embedding_size
            self.projection = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.Linear(size, config.projection_size))
            self.auxiliary = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.Linear(size, pool.targets.shape[1]))
        self._model = nn.ModuleDict(
            {"encoder": self.encoder, "projection": self.projection, "auxiliary": self.auxiliary}
        )
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=config.learning_rate)
        self._recipe = TrainingRecipe(config.epochs, config.batch_size, config.learning_rate, 0.0)
        order = torch.randperm(len(pool.graphs), generator=seeded_generator(seed, "held out"))
        count = max(2, round(config.held_out * len(order)))
        self._held_out, self._rows = order[:count], order[count:]
        if len(self._rows) < 2:
            raise ConfigError(f"pretraining: expected at least {MIN_GRAPHS} graphs, got {len(pool.graphs)}")
        self._best = _Best(self.encoder)
        self._stopped_after: int | None = None

    @property
    def num_steps(self) -> int:
        """Epochs; fewer once it is known that no more are needed."""
        return self._stopped_after or self.config.epochs

    def run_step(self, step: int) -> dict[str, Any]:
        """One epoch."""
        set_learning_rate(self._optimizer, cosine(self._recipe, step))
        order = torch.randperm(len(self._rows), generator=seeded_generator(self.seed, "pretraining", step))
        self._model.train()
        with torch.random.fork_rng(devices=[]):  # what is dropped depends on the seed and the step alone
            torch.manual_seed(seed_of(self.seed, "encoder", step))
            losses = torch.tensor([self._train_on(rows) for rows in self._batches(self._rows[order])])
        held_out = self._held_out_loss()
        if not (bool(losses.isfinite().all()) and math.isfinite(held_out)):
            raise TrainingError(f"pretraining, epoch {step}: expected finite losses; use a smaller learning rate")
        self._best.see(held_out, self.encoder)
        if self._best.waited >= self.config.patience:
            self._stopped_after = step + 1
        return {"loss": round(float(losses.mean()), 5), "held_out_loss": round(held_out, 5)}

    def _batches(self, rows: Tensor) -> list[numpy.ndarray]:
        return [found.numpy() for found in rows.split(self.config.batch_size) if len(found) > 1]

    def _held_out_loss(self) -> float:
        """Mean loss of graphs that are not learned from; the same parts of them are dropped after every epoch."""
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.seed, "held out"))
            losses = [float(self._loss(self._plan(rows), rows)) for rows in self._batches(self._held_out)]
        return sum(losses) / len(losses)

    def _plan(self, rows: numpy.ndarray) -> MessagePlan:
        batch = predictor_batch([self.pool.graphs[row] for row in rows])
        return MessagePlan.of(batch, self.encoder.config.rounds, backward=self.encoder.config.backward)

    def _train_on(self, rows: numpy.ndarray) -> float:
        loss = self._loss(self._plan(rows), rows)
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        return float(loss.detach())

    def _loss(self, plan: MessagePlan, rows: numpy.ndarray) -> Tensor:
        first, loss = self.encoder(plan), torch.zeros(())
        if self.config.contrastive_weight:
            views = self.projection(first), self.projection(self.encoder(plan))
            spectra = torch.from_numpy(self.pool.spectra[rows]).float()
            loss = loss + self.config.contrastive_weight * contrastive_loss(*views, spectra)
        if self.config.auxiliary_weight:
            targets = torch.from_numpy(self.pool.targets[rows]).float()
            known = ~targets.isnan()
            found = nn.functional.smooth_l1_loss(self.auxiliary(first)[known], targets[known])
            loss = loss + self.config.auxiliary_weight * found
        return loss

    def finished_encoder(self) -> GraphEncoder:
        """The best encoder, with embeddings standardised over some of the graphs."""
        self.encoder.load_state_dict(self._best.weights)
        rows = torch.randperm(len(self.pool.graphs), generator=seeded_generator(self.seed, "standardisation"))
        chosen = [self.pool.graphs[int(row)] for row in rows[:STANDARDISATION_GRAPHS]]
        parts = [
            embed(self.encoder, predictor_batch(chosen[begin : begin + CHUNK]))
            for begin in range(0, len(chosen), CHUNK)
        ]
        self.encoder.standardise(torch.from_numpy(numpy.vstack(parts)))
        return self.encoder.eval()

    def state(self) -> TaskState:
        """Weights, momenta, and the best encoder so far."""
        tensors = {f"model.{name}": value.clone() for name, value in self._model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self._best.weights.items()}
        values = {"best": self._best.loss, "waited": self._best.waited, "stopped_after": self._stopped_after}
        return TaskState(tensors | pack_optimizer(self._optimizer, "optimizer"), values)

    def load_state(self, state: TaskState) -> None:
        """Go on from a state."""
        self._model.load_state_dict(_part(state, "model."))
        load_optimizer(self._optimizer, state.tensors, "optimizer")
        self._best.weights = _part(state, "best.")
        self._best.loss, self._best.waited = state.values["best"], state.values["waited"]
        self._stopped_after = state.values["stopped_after"]


class _Best:
    """The weights with the lowest loss so far, and for how many epochs there have been none better."""

    def __init__(self, encoder: GraphEncoder) -> None:
        self.weights = _copy(encoder)
        self.loss: float | None = None
        self.waited = 0

    def see(self, loss: float, encoder: GraphEncoder) -> None:
        """Take an epoch's loss into account."""
        self.waited += 1
        if self.loss is None or loss < self.loss:
            self.weights, self.loss, self.waited = _copy(encoder), loss, 0


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _part(state: TaskState, prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.tensors.items() if name.startswith(prefix)}


def embed(encoder: GraphEncoder, batch: GraphBatch) -> numpy.ndarray:
    """Embeddings of graphs, (num_graphs, embedding_size), float32."""
    encoder.eval()
    with torch.no_grad():
        plan = MessagePlan.of(batch, encoder.config.rounds, backward=encoder.config.backward)
        return encoder(plan).numpy()


def _standardised(columns: numpy.ndarray) -> numpy.ndarray:
    """Mean 0 and deviation 1 where there is any, and no value beyond five deviations."""
    spread = numpy.nanstd(columns, axis=0)
    return ((columns - numpy.nanmean(columns, axis=0)) / numpy.where(spread > 0, spread, 1.0)).clip(-5.0, 5.0)
