"""What a run decided on its way, as its journal tells it."""

from typing import Any

from nasengine.store import RunStore


def decisions_of(store: RunStore) -> list[dict[str, Any]]:
    """Operations and edges that were kept, leaf after leaf."""
    return [
        decision
        for event in sorted(store.find("step"), key=lambda event: str(event["task"]))
        if event["task"].startswith("selection")
        for decision in event["metrics"].get("decisions", [])
    ]


def splits_of(store: RunStore) -> list[dict[str, Any]]:
    """How supernets were split, level after level."""
    found = [event["metrics"] for event in store.find("step", task="supernet") if "splits" in event["metrics"]]
    return [{"level": level, "parts": metrics["splits"]} for level, metrics in enumerate(found)]
