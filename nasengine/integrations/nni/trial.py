"""``python -m nasengine.integrations.nni.trial RUN``: one trial of a live experiment, started by NNI's server.

What it measures goes to a file of the run first and to NNI then. A result that is known is only reported again.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # before anything that looks for it is imported; NNI's server has a home of its own
    os.environ["HOME"] = os.environ.pop("NASENGINE_HOME", os.environ.get("HOME", ""))

from nasengine import registry
from nasengine.architecture import Architecture
from nasengine.errors import NasEngineError, StoreError
from nasengine.integrations.nni.genes import architecture_of
from nasengine.integrations.nni.trial_channel import TrialChannel
from nasengine.integrations.nni.trial_file import Measured, TrialFile
from nasengine.integrations.nni.watch import end_with_parent
from nasengine.protocols import ElasticSpace, NetworkConfig, SupernetSpace

if TYPE_CHECKING:
    from nasengine.pipeline import SearchSettings

Report = Callable[[dict[str, float]], None]


class Trial:
    """The evaluation of one architecture of a run.

    Args:
        run: its folder.
        genes: of the architecture.
        report: is told about results on the way.
    """

    def __init__(self, run: Path, genes: dict[str, Any], report: Report) -> None:
        from nasengine.assembly import settings_of
        from nasengine.store.journal import Journal
        from nasengine.store.run_store import JOURNAL_NAME

        self.settings: SearchSettings = settings_of(run)
        space = registry.load("search space", self.settings.space)
        data = next((event for event in Journal(run / JOURNAL_NAME).read() if event["event"] == "data"), None)
        if not isinstance(space, SupernetSpace | ElasticSpace) or data is None or self.settings.trials is None:
            raise StoreError(f"run folder {run}: expected a run of 'nasengine nni', got another")
        self.space, self.data, self.trials, self.report = space, data, self.settings.trials, report
        self.scale = self.settings.adjust(space.scales[self.settings.budget])
        self.recipe = self.scale.final if isinstance(space, SupernetSpace) else self.scale.supernet
        self.config = NetworkConfig(
            data["num_classes"], tuple(data["image_shape"]), self.scale.final_channels, self.scale.final_cells
        )
        self.architecture: Architecture = architecture_of(space, genes)
        self.genotype = space.format(self.architecture)
        self.file = TrialFile(run, self.settings.model_dump(mode="json"), data["fingerprint"], self.genotype)
        self._lock, self._began = threading.Lock(), time.monotonic()
        self._measured = Measured(genotype=self.genotype)

    def run(self, settle: Callable[[], None] = lambda: None) -> dict[str, float]:
        """Its result: from the file where it is known, otherwise from a table or from training.

        Args:
            settle: called when the result is there, before it is written.
        """
        known = self.file.read()
        if known is not None and known.final is not None:
            for values in known.epochs:
                self.report(values)
            settle()
            return known.final
        self._write()
        accuracy = self._train() if self.trials.table is None else self._look_up(self.trials.table)
        final = {"default": accuracy, **self._costs()}
        settle()
        self._write(final=final)
        assert self._measured.final is not None
        return self._measured.final

    def fail(self, reason: str) -> None:
        """Record why there is no result."""
        self._write(failure=reason)

    def _write(self, **changed: Any) -> None:
        with self._lock:  # a watch may end the trial from another thread
            seconds = round(time.monotonic() - self._began, 4)
            self._measured = self._measured.model_copy(update={**changed, "seconds": seconds})
            self.file.write(self._measured)

    def _look_up(self, table: str) -> float:
        from nasengine.evaluation.table import read_table

        return read_table(Path(table), self.space, self.trials.column).accuracy_of(self.genotype)

    def _train(self) -> float:
        """Validation accuracy after some epochs on the training half; test images are not looked at."""
        import torch

        from nasengine.assembly import load_images
        from nasengine.evaluation import NetworkTraining, accuracy
        from nasengine.network import GraphNetwork
        from nasengine.randomness import seed_of

        torch.set_num_threads(self.settings.threads)
        scale, seed = self.scale, self.settings.seed
        reduced = load_images(self.settings).reduced(
            scale.max_train_images, scale.max_test_images, scale.max_image_size, seed
        )
        dataset = reduced.to(torch.device(self.settings.device))
        if dataset.fingerprint() != self.data["fingerprint"]:
            raise StoreError(f"expected the images that the run began with, got others from {dataset.name}")
        graph = self.space.to_graph(self.architecture, self.config)
        network = GraphNetwork(graph, seed_of(seed, "trial")).to(self.settings.device)
        recipe = replace(self.recipe, epochs=self.trials.epochs, auxiliary_weight=0.0)
        training = NetworkTraining("trial", network, dataset, recipe, seed=seed, split=dataset.train)
        value = 0.0
        for step in range(training.num_steps):
            torch.manual_seed(seed_of(seed, "trial", step))
            learned = training.run_step(step)
            value = accuracy(network, dataset.validation, dataset)
            values = {"default": value, "loss": learned["loss"], "train_accuracy": learned["train_accuracy"]}
            self._write(epochs=[*self._measured.epochs, values])
            self.report(values)
        return value

    def _costs(self) -> dict[str, float]:
        """Beside accuracy; latency where the run has a device that knows it."""
        from nasengine.assembly import load_device
        from nasengine.graph import cost

        graph = self.space.to_graph(self.architecture, self.config)
        found = cost(graph)
        counts = {"macs": found.macs, "params": found.num_parameters, "peak_bytes": found.peak_activation_bytes}
        costs = {name: float(value) for name, value in counts.items()}
        device = load_device(self.settings)
        if device is None:
            return costs
        (on_device,) = device.costs([graph])
        known = {name: on_device.metrics[name] for name in ("latency_ms", "model_bytes") if name in on_device.metrics}
        return costs | {name: value for name, value in known.items() if value < float("inf")}


def main(run: Path) -> int:
    """Evaluate what NNI's server asks for; the exit code says whether it went well."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # NNI ends a trial so: at once, and not as a fault of ours
    end_with_parent()
    try:
        channel = TrialChannel()
        trial = Trial(run, channel.genes(), channel.intermediate)
    except NasEngineError as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    limit = trial.trials.max_seconds
    end_with_parent(lambda: trial.fail(f"timed out after {limit:g} s"), limit)
    try:
        # What is measured is reported: from there on, it is too late to stop the trial early.
        result = trial.run(settle=_ignore_interruption)
        channel.final(result)
    except NasEngineError as fault:
        sys.stderr.write(f"{fault}\n")
        trial.fail(str(fault))
        return 1
    return 0


def _ignore_interruption() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
