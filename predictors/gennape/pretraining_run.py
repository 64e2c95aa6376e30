"""A pretraining as a run folder: steps that can be interrupted, then the predictor and its card."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy
import torch
from pydantic import BaseModel, ConfigDict, Field

from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph
from nasengine.pipeline.exporting import file_hash
from nasengine.pipeline.settings import validated
from nasengine.pipeline.task import Progress, run_once, run_task
from nasengine.protocols import SearchSpace
from nasengine.store import RunStore
from predictors.gennape.building import unlabelled_graphs
from predictors.gennape.encoder import EncoderConfig
from predictors.gennape.ensemble_fitting import EnsembleConfig, Family, fit_ensemble
from predictors.gennape.gennape import Gennape
from predictors.gennape.head_members import HeadMember
from predictors.gennape.pool_view import PoolView
from predictors.gennape.pretraining import MIN_GRAPHS, Pretraining, PretrainingConfig, UnlabelledPool
from predictors.gennape.proxy_targets import NAMES, proxy_targets
from predictors.gennape.zero_shot import ZeroShotEnsemble

WEIGHTS, CARD = "predictor.safetensors", "predictor.json"
ENTROPY_GRAPHS = 500


class PretrainingSettings(BaseModel):
    """What a pretraining run is; stored in its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spaces: tuple[str, ...] = Field(min_length=1)
    graphs_of_space: int = Field(ge=MIN_GRAPHS, le=100_000)
    labels: dict[str, tuple[str, str, str]] = Field(min_length=1)
    epochs: int = Field(ge=1, le=10_000)
    contrastive: bool = True
    auxiliary: bool = True
    proxy_graphs: int = Field(default=0, ge=0)
    seed: int = 0

    @classmethod
    def read(cls, content: dict[str, Any]) -> "PretrainingSettings":
        """Check values that come from the command line or from a run folder.

        Raises:
            ConfigError: lists everything that is wrong.
        """
        settings = validated(cls, content, "nasengine predictor pretrain")
        if not (settings.contrastive or settings.auxiliary):
            raise ConfigError("nasengine predictor pretrain: expected contrastive or auxiliary targets, got neither")
        return settings

    @property
    def of_encoder(self) -> PretrainingConfig:
        return PretrainingConfig(
            epochs=self.epochs, contrastive_weight=float(self.contrastive), auxiliary_weight=float(self.auxiliary)
        )


def run_pretraining(
    store: RunStore,
    settings: PretrainingSettings,
    spaces: Sequence[SearchSpace],
    families: Mapping[str, Family],
    progress: Progress,
) -> dict[str, Any]:
    """Bring a run to its end; returns the card, which is written beside the weights.

    A finished run whose file is as it was written is left alone.

    Raises:
        TrainingError: a loss that is not finite.
    """
    known = store.last("predictor")
    if known is not None and file_hash(store.folder / WEIGHTS) == known["sha256"]:
        return dict(known["card"])
    graphs = unlabelled_graphs(spaces, settings.graphs_of_space, settings.seed)
    pool = UnlabelledPool.of(graphs, _proxies(store, settings, graphs, progress))
    task = Pretraining(pool, EncoderConfig(), settings.of_encoder, seed=settings.seed)
    run_task(task, "encoder", store, progress, seed=settings.seed)
    num_fits = 1 + (len(families) if len(families) > 1 else 0)
    progress.begin("ensemble", num_fits, 0)
    done = iter(range(num_fits))
    ensemble = fit_ensemble(
        families, task.finished_encoder(), EnsembleConfig(), seed=settings.seed,
        report=lambda line: progress.advance("ensemble", next(done), {"what": line}),
    )  # fmt: skip
    Gennape(ensemble).save(store.folder / WEIGHTS)
    card = _card(settings, ensemble, pool, families) | {"bytes": (store.folder / WEIGHTS).stat().st_size}
    store.write(CARD, (json.dumps(card, indent=2) + "\n").encode())
    store.record("predictor", sha256=file_hash(store.folder / WEIGHTS), card=card)
    store.write_summary(card)
    return card


def _card(
    settings: PretrainingSettings, ensemble: ZeroShotEnsemble, pool: UnlabelledPool, families: Mapping[str, Family]
) -> dict[str, Any]:
    return {
        "name": "GENNAPE", "nasengine": version("nasengine"), "torch": torch.__version__, "licence": "Apache-2.0",
        "paper": "arXiv 2211.17226", "seed": settings.seed, "epochs": settings.epochs,
        "unlabelled": {
            "spaces": list(settings.spaces), "graphs_of_each": settings.graphs_of_space,
            "with_proxies": settings.proxy_graphs,
        },
        "labels": {
            name: {"table": Path(source[0]).name, "column": source[2], "networks": len(families[name].graphs)}
            for name, source in settings.labels.items()
        },
        "weights": dict(zip(ensemble.members, ensemble.weights.round(4).tolist(), strict=True)),
        "fuzzy_clusters": _clusters(ensemble, pool, families),
        "left_out_kendall_tau": {name: round(value, 4) for name, value in ensemble.left_out.items()},
    }  # fmt: skip


def _proxies(
    store: RunStore, settings: PretrainingSettings, graphs: Sequence[ComputationGraph], progress: Progress
) -> numpy.ndarray | None:
    """Proxies of the first graphs of each space; a run that goes on does not measure them again."""
    if not settings.proxy_graphs:
        return None
    rows = [row for row in range(len(graphs)) if row % settings.graphs_of_space < settings.proxy_graphs]

    def work() -> dict[str, Any]:
        progress.begin("proxies", len(rows), 0)
        found = proxy_targets(
            graphs, rows, seed=settings.seed, report=lambda done: progress.advance("proxies", done, {})
        )
        return {"ranks": [[None if numpy.isnan(value) else float(value) for value in found[row]] for row in rows]}

    targets = numpy.full((len(graphs), len(NAMES)), numpy.nan)
    targets[rows] = numpy.array(run_once("measured-proxies", {}, work, store, None)["ranks"], float)
    return targets


def _clusters(ensemble: ZeroShotEnsemble, pool: UnlabelledPool, families: Mapping[str, Family]) -> dict[str, float]:
    """The fuzzifier, and the mean entropy of memberships, from 0 (hard) to 1 (uniform).

    The fuzzifier is chosen on the labelled networks; those of other spaces lie between the clusters.
    """
    found = [member.clusters for member in ensemble.members.values() if isinstance(member, HeadMember)]
    clusters = next(entry for entry in found if entry is not None)
    labelled = [graph for family in families.values() for graph in _some(family.graphs)]
    values = {"entropy": clusters.entropy(PoolView.of(_some(pool.graphs), ensemble.encoder).embeddings),
              "entropy_of_labelled": clusters.entropy(PoolView.of(labelled, ensemble.encoder).embeddings)}  # fmt: skip
    return {"fuzzifier": clusters.fuzzifier, **{name: round(value, 4) for name, value in values.items()}}


def _some(graphs: Sequence[ComputationGraph]) -> list[ComputationGraph]:
    return list(graphs[:: max(1, len(graphs) // ENTROPY_GRAPHS)])
