"""What ``nasengine score`` and ``nasengine predictor evaluate`` tell."""

from collections.abc import Sequence
from typing import Any

import numpy

from nasengine.errors import ConfigError
from nasengine.graph import ComputationGraph, cost
from nasengine.tracing import unknown_operators
from predictors.gennape.gennape import Gennape
from predictors.results_table import ResultsTable

NORMAL_90 = 1.6449


def score_networks(
    predictor: Gennape,
    names: Sequence[str],
    graphs: Sequence[ComputationGraph],
    *,
    pool: Sequence[ComputationGraph] | None,
    space: str | None,
) -> dict[str, Any]:
    """Scores, ranks and costs of networks, and warnings about what the predictor does not know.

    Args:
        predictor: with or without labels.
        names: what the user called the networks.
        graphs: the networks.
        pool: random networks of the space to rank among; None ranks among those that the predictor knows.
        space: of the pool.
    """
    if pool is not None:
        predictor.adapt(pool)
    found = predictor.predict(graphs)
    known = predictor.known_scores()
    among = f"{len(known)} random networks of {space}" if pool is not None else f"{len(known)} known networks"
    rows = []
    for name, graph, mean, std in zip(names, graphs, found.mean, found.std, strict=True):
        total = cost(graph)
        rows.append({
            "network": name, "score": round(float(mean), 4), "std": round(float(std), 4),
            "rank": 1 + int((known > mean).sum()), "macs": total.macs, "num_parameters": total.num_parameters,
            "warnings": _warnings(graph),
        })  # fmt: skip
    unit = "label" if predictor.is_fitted else "score, 0 to 1"
    return {"unit": unit, "among": among, "num_known": len(known), "networks": rows}


def _warnings(graph: ComputationGraph) -> list[str]:
    unknown = unknown_operators(graph)
    if not unknown:
        return []
    listed = ", ".join(f"{name} ({count})" for name, count in list(unknown.items())[:5])
    return [f"operators that no predictor knows, counted as 'other': {listed}; the uncertainty is larger for it"]


def scores_table(content: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """For people."""
    rows: list[tuple[str, ...]] = []
    for row in content["networks"]:
        rows.append((
            row["network"], f"{row['score']:.3f} +- {row['std']:.3f}", f"{row['rank']:,}",
            f"{row['macs'] / 1e6:,.1f} M", f"{row['num_parameters']:,}",
        ))  # fmt: skip
        rows.extend((f"  {warning}", "", "", "", "") for warning in row["warnings"])
    return ("network", content["unit"], f"rank among {content['among']}", "macs", "parameters"), rows


def evaluate_predictor(predictor: Gennape, known: ResultsTable) -> dict[str, Any]:
    """Rank correlations of a predictor with labels, and how many of them lie in its 90 % intervals."""
    from scipy.stats import kendalltau, rankdata, spearmanr

    if len(known.labels) < 2 or not numpy.ptp(known.labels):
        raise ConfigError(f"evaluation: expected labels that differ, got {len(known.labels)} networks with one label")
    found = predictor.predict(known.graphs, known.proxies or None)
    truth = known.labels
    if not predictor.is_fitted:
        truth = (rankdata(truth) - 0.5) / len(truth)
    inside = numpy.abs(found.mean - truth) <= NORMAL_90 * found.std
    return {
        "networks": len(truth),
        "kendall_tau": float(kendalltau(found.mean, truth)[0]),
        "spearman_rho": float(spearmanr(found.mean, truth)[0]),
        "coverage_90": float(inside.mean()),
        "mean_absolute_error": float(numpy.abs(found.mean - truth).mean()),
    }
