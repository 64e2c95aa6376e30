"""What a search decided on its way, read off its journal for the summary."""

from typing import Any

from nasengine.store import RunStore


def decisions_of(store: RunStore) -> list[dict[str, Any]]:
    """Decisions of the selection, task by task."""
    steps = sorted(store.find("step"), key=lambda event: str(event["task"]))
    selections = (event for event in steps if event["task"].startswith("selection"))
    return [decision for event in selections for decision in event["metrics"].get("decisions", [])]


def splits_of(store: RunStore) -> list[dict[str, Any]]:
    """Splits of the supernet, level by level."""
    found = (event["metrics"] for event in store.find("step", task="supernet") if "splits" in event["metrics"])
    return [{"level": level, "parts": metrics["splits"]} for level, metrics in enumerate(found)]


def prediction_of(store: RunStore, predictor: str | None, leaves: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What was predicted before training, beside what validation images said; None without a predictor.

    Args:
        store: of the run.
        predictor: its name or file.
        leaves: what each leaf proposed, with its accuracy.
    """
    event = store.last("prediction")
    if event is None:
        return None
    measured = {row["genotype"]: row for row in leaves}
    rows = [
        {"genotype": text, "predicted_rank": mean, "std": std,
         "validation_accuracy": measured.get(text, {}).get("validation_accuracy")}
        for text, mean, std in event["predicted"]
    ]  # fmt: skip
    counts = {name: event[name] for name in ("num_ranked", "num_dropped")}
    return {"predictor": predictor, **counts, "finalists": rows}
