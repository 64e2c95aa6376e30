"""Turns a table of results into a predictor file and its card."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nasengine.errors import ConfigError
from nasengine.pipeline.task import Progress
from nasengine.store.artifacts import write_file
from predictors.gennape.few_shot import FewShotConfig
from predictors.gennape.gennape import Gennape
from predictors.results_table import ResultsTable

if TYPE_CHECKING:
    from nasengine.graph import ComputationGraph

TASK = "members"


def card_path(out: Path) -> Path:
    """The card beside a predictor file."""
    return out.with_suffix(".json")


def refuse_existing(out: Path) -> None:
    """Nothing is overwritten.

    Raises:
        ConfigError: the file or its card is there, or the file's name is that of a card.
    """
    if out.suffix == ".json":
        raise ConfigError(f"--out {out}: expected a name for the weights, got that of a card; end it in .safetensors")
    for path in (out, card_path(out)):
        if path.exists():
            raise ConfigError(f"--out {out}: expected a new file, got {path}, which is there; remove or rename it")


def fit_predictor(
    predictor: Gennape,
    known: ResultsTable,
    out: Path,
    *,
    source: dict[str, Any],
    pool: "list[ComputationGraph] | None",
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """Fit members on the labels of a table, write the predictor, then its card; returns the card.

    Args:
        predictor: pretrained; it is changed.
        known: networks, labels, proxies.
        out: file to write.
        source: where the labels come from, for the card.
        pool: networks of the space without labels, if there are any.
        seed: of folds and members.
        progress: is told of every fit.

    Raises:
        ConfigError: labels that nothing can be learned from.
        StoreError: a file that cannot be written.
    """
    config = FewShotConfig()
    progress.begin(TASK, config.num_fits, 0)
    done = iter(range(config.num_fits))
    predictor.fit(
        known.graphs, known.labels.tolist(), known.proxies or None, pool=pool, config=config, seed=seed,
        report=lambda: progress.advance(TASK, next(done), {}),
    )  # fmt: skip
    predictor.save(out)
    card = _card(predictor, known, out, source=source, seed=seed)
    write_file(card_path(out), (json.dumps(card, indent=2) + "\n").encode())
    return card


def _card(predictor: Gennape, known: ResultsTable, out: Path, *, source: dict[str, Any], seed: int) -> dict[str, Any]:
    assert predictor.few_shot is not None
    stack = predictor.few_shot.stack
    return {
        "name": "GENNAPE, fitted", "nasengine": version("nasengine"), "torch": torch.__version__,
        "licence": "Apache-2.0, and that of the labels", "paper": "arXiv 2211.17226", "seed": seed,
        "predictor": str(out), "labels": len(known.labels), "source": source, "proxies": list(known.proxies),
        "weights": dict(zip(stack.members, stack.weights.round(3).tolist(), strict=True)),
        "out_of_fold_kendall_tau": stack.out_of_fold_tau, "bytes": out.stat().st_size,
    }  # fmt: skip
