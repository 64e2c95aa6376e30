"""The run folder: an append-only journal and artifacts by content hash. Reading it does not import torch."""

from nasengine.store.artifacts import ArtifactStore
from nasengine.store.journal import Journal
from nasengine.store.run_store import RunStore, RunSummary, list_runs

__all__ = ["ArtifactStore", "Journal", "RunStore", "RunSummary", "list_runs"]
