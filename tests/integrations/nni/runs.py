"""Journals as a search writes them, step by step, so that tests can look at any moment of a run."""

from pathlib import Path
from typing import Any

from nasengine import registry
from nasengine.integrations.nni import RecordedRun
from nasengine.pipeline import SearchSettings
from nasengine.store import RunStore

PATHS = (
    "|none~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
    "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
)
SETTINGS: dict[str, Any] = {
    "space": "nasbench201", "data": "digits", "budget": "quick", "seed": 0, "training": "single-path",
    "selection": "sampled-paths", "strategy": "random",
}  # fmt: skip


class WrittenRun:
    """A run folder that grows as a search would make it grow.

    Args:
        folder: new.
        settings: those that differ from the usual ones.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings = SearchSettings.read(SETTINGS | settings, "test")
        self.store = RunStore.create(folder, self.settings.model_dump(mode="json"))
        self.store.record("data", fingerprint="0", name="digits", num_classes=10, image_shape=[1, 8, 8], seconds=0.0)

    def recorded(self) -> RecordedRun:
        """What reads it."""
        return RecordedRun(self.folder, registry.load("search space", self.settings.space), self.settings)

    def step(self, task: str, number: int, **metrics: Any) -> None:
        self.store.checkpoint(task, number, b"", metrics, 0.25)

    def sample_paths(self, leaf: int = 0) -> None:
        """Two paths through a leaf."""
        for number, text in enumerate(PATHS[leaf : leaf + 2]):
            self.step(f"selection-leaf{leaf}", number, genotype=text, accuracy=0.2 + 0.1 * number)

    def race(self) -> None:
        """Four finalists: one fails, one leaves after the first round, two reach the last."""
        self.store.record("finalists", genotypes=list(PATHS), first_epochs=1)
        for network in range(3):
            metrics = {"network": network, "loss": 2.0 - network / 4, "train_accuracy": 0.3 + network / 10}
            self.step(f"finalist{network}", 1, **metrics)
        self.step("finalist3", 1, network=3, failure="loss is not finite")
        self.store.record("round", number=0, validation_accuracy={"0": 0.31, "1": 0.42, "2": 0.53})
        self.step("finalist1", 3, network=1, loss=1.5, train_accuracy=0.6)
        self.step("finalist2", 3, network=2, loss=1.25, train_accuracy=0.7)
        self.store.record("round", number=1, validation_accuracy={"1": 0.61, "2": 0.72})

    def train_winner(self) -> None:
        for epoch in range(3):
            self.step("winner", epoch, loss=1.0 - epoch / 4, train_accuracy=0.5 + epoch / 8, learning_rate=0.1)

    def finish(self) -> None:
        """Tests, and the summary that a finished run has."""
        result = {"genotype": PATHS[2], "test_accuracy": 0.9}
        self.store.record("test", network="winner", result=result, seconds=0.1)
        measured = [(PATHS[0], 1, 0.31), (PATHS[1], 2, 0.61), (PATHS[2], 2, 0.72)]
        leaves = [
            {"leaf": 0, "is_predicted": False, "genotype": text, "rounds": rounds, "validation_accuracy": accuracy}
            for text, rounds, accuracy in measured
        ]
        self.store.record("test", network="leaves", leaves=leaves, seconds=0.1)
        costs = {"latency_ms": 0.5, "model_bytes": 120_000.0}
        self.store.write_summary({"winner": result, "target": {"winner": costs}})

    def do_everything(self) -> None:
        self.sample_paths(leaf=0)
        self.store.record("failed-leaf", leaf=1, reason="loss is not finite")
        self.race()
        self.train_winner()
        self.finish()
        self.store.close()
