"""From a dataset and a search space to a trained, exported and checked network."""

import random
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from nasengine.architecture import Architecture
from nasengine.checkpoint import pack
from nasengine.errors import StoreError
from nasengine.evaluation import NetworkTraining, accuracy
from nasengine.graph import cost, fingerprint
from nasengine.initialization.sizes import check_distinct, resized, sizes_of
from nasengine.network import GraphNetwork
from nasengine.optimization import check_batches, check_same
from nasengine.pipeline.device_summary import device_summary
from nasengine.pipeline.elastic_search import ElasticSearch
from nasengine.pipeline.environment import record_environment
from nasengine.pipeline.exporting import export_checked, file_hash, without_auxiliary
from nasengine.pipeline.family import Ancestor
from nasengine.pipeline.family_settings import chosen_sizes
from nasengine.pipeline.finding import Parts, finished, search_of
from nasengine.pipeline.recorded_decisions import decisions_of, prediction_of, splits_of
from nasengine.pipeline.settings import SearchSettings
from nasengine.pipeline.task import Progress, run_once, run_task
from nasengine.pipeline.trial_results import best_trial, ends_of_trials
from nasengine.pipeline.workers import TRAINING, Part, Work
from nasengine.protocols import Exporter, Task, TaskState
from nasengine.randomness import seed_of
from nasengine.store import RunStore

MAX_DRAWN = 1000
WINNER, BASELINE = "winner", "random_baseline"
ONNX_NAME = "winner.onnx"


class Search:
    """One search: supernet training, selection, training of the winner and of a random architecture, test, export.

    Steps that the store has already are not repeated, so that the same call starts a run and resumes it.

    Everything that can be wrong with settings and data shows on construction, before a run folder is made.

    Args:
        settings: of the run.
        parts: space, data, exporter and strategy.
        progress: is told about every step.
    """

    store: RunStore

    def __init__(self, settings: SearchSettings, parts: Parts, progress: Progress) -> None:
        self.settings, self.space, self.exporter, self.progress = settings, parts.space, parts.exporter, progress
        self.scale = settings.adjust(parts.space.scales[settings.budget])
        reduced = parts.dataset.reduced(
            self.scale.max_train_images, self.scale.max_test_images, self.scale.max_image_size, settings.seed
        )
        self.dataset = reduced.to(torch.device(settings.device))
        halves = len(reduced.train), len(reduced.validation)
        for count in halves:
            check_batches(count, self.scale.supernet.batch_size, "supernet training")
        check_batches(sum(halves), self.scale.final.batch_size, "network training")
        self.workers = parts.workers
        self.architecture_search = search_of(settings, self.scale, parts, dataset=self.dataset, progress=progress)
        self.dataset = self.architecture_search.dataset  # split as it is used there

    def run(self, store: RunStore) -> dict[str, Any]:
        """Do everything that the store does not have yet.

        Returns:
            The summary, which is also written to the run folder.
        """
        self.store = store
        torch.set_num_threads(self.settings.threads)
        self.record_inputs(store)
        part = self.architecture_search
        with nullcontext() if self.workers is None else self.workers.kept():
            winner = (
                part.run(store) if self.settings.trials is None else best_trial(store, self.space, part.keeps_limits)
            )
            further = part.answers()
            architectures = {WINNER: winner, BASELINE: self._baseline(winner)}
            self._train_elsewhere(architectures | {_within(macs): found for macs, found in further.items()})
        networks = {name: self._train(name, architecture) for name, architecture in architectures.items()}
        answers = {macs: self._train(_within(macs), found) for macs, found in further.items()}
        # Only here, after every decision, test images are used for the first time.
        results = {name: self._test(name, *trained) for name, trained in networks.items()}
        leaves = self._test_leaves()
        exported = self._export_once(networks[WINNER][1])
        summary = {
            "run": str(self.store.folder),
            "space": self.settings.space,
            "data": self.data_card(),
            "settings": self.settings.model_dump(),
            "seconds": round(sum(event.get("seconds", 0.0) for event in self.store.events), 2),
            **results,
            "within": [self._finish(macs, *trained) for macs, trained in answers.items()],
            "onnx": exported,
            "decisions": decisions_of(self.store),
            "splits": splits_of(self.store),
            "leaves": leaves,
            "prediction": prediction_of(self.store, self.settings.predictor, leaves),
            "target": self._device(results),
            "trials": ends_of_trials(self.store),
            "failed_leaves": {str(event["leaf"]): event["reason"] for event in self.store.find("failed-leaf")},
        }
        self.store.write_summary(summary)
        return summary

    def data_card(self) -> dict[str, Any]:
        """What is learned from and tested on, after the budget's limits."""
        data = self.dataset
        counts = {f"num_{part}": len(getattr(data, part)) for part in ("train", "validation", "test")}
        shape = list(data.image_shape)
        return {"name": data.name, "num_classes": data.num_classes, "image_shape": shape, **counts}

    def check_sizes(self) -> None:
        """See that networks of the sizes of the family can be built, whatever the winner will be.

        Raises:
            ConfigError: a size that cannot be.
            GraphError: images that are too small for it.
        """
        config = self.architecture_search.final_config
        architecture = self.space.sample(random.Random(0))
        own = sizes_of(self.space, architecture, config)
        depths = chosen_sizes(*own, depths=self.settings.depths, widths=(), sizes=self.settings.sizes)["depths"]
        check_distinct({
            (depth, own[1]): self.space.to_graph(*resized(self.space, architecture, config, depth=depth))
            for depth in dict.fromkeys((own[0], *depths))
        })  # fmt: skip

    def record_inputs(self, store: RunStore) -> None:
        """Record images and limits, or see that they are those that the run began with.

        Raises:
            StoreError: they are others.
        """
        self.store = store
        self._check_data()
        self._check_device()
        record_environment(store, self.settings.device)

    def _check_data(self) -> None:
        """Record which images are used; a resumed run must see the same."""
        found = self.dataset.fingerprint()
        check_same("images", found.encode())
        known = run_once("data", {}, lambda: {"fingerprint": found, **self.data_card()}, self.store, None)
        if known["fingerprint"] != found:
            raise StoreError(
                f"run folder {self.store.folder}: expected the images that the run began with, got others from "
                f"{self.dataset.name}; restore them or start a new run"
            )

    def _check_device(self) -> None:
        """Record the limits; a resumed run must have the same."""
        part = self.architecture_search.feasibility
        if part is None:
            return
        found = {entry.metric: entry.limit for entry in part.device.constraints.limits}
        known = run_once("device", {}, lambda: {"limits": found}, self.store, None)
        if known["limits"] != found:
            raise StoreError(
                f"run folder {self.store.folder}: expected the limits that the run began with, {known['limits']}, got "
                f"{found} from {self.settings.target}; restore the target or start a new run"
            )

    def _run(self, name: str, task: Task) -> None:
        run_task(task, name, self.store, self.progress, seed=self.settings.seed)

    def _baseline(self, winner: Architecture) -> Architecture:
        """A random architecture other than the winner, within the same limits."""
        rng = random.Random(seed_of(self.settings.seed, "baseline"))
        part = self.architecture_search
        for _ in range(1 if part.feasible == [winner] else MAX_DRAWN):
            drawn = self.space.sample(rng) if part.feasibility is None else part.feasibility.draw(rng, part.feasible)
            if drawn != winner:
                return drawn
        return winner  # nothing else keeps the limits

    # --- the networks -----------------------------------------------------------------------------------------------

    def _train(self, name: str, architecture: Architecture) -> tuple[Architecture, GraphNetwork]:
        """Train anew or from inherited weights; winner and baseline have the same recipe, images and batches."""
        network = self.architecture_search.network(architecture)
        task = NetworkTraining(
            name, network, self.dataset, self.architecture_search.final_recipe, seed=self.settings.seed
        )
        self._run(name, task)
        return architecture, finished(self.architecture_search, without_auxiliary(network))

    def _train_elsewhere(self, architectures: dict[str, Architecture]) -> None:
        if self.workers is not None:
            parts = [
                Part(TRAINING, name, (name,), self.space.format(architecture))
                for name, architecture in architectures.items()
            ]
            needed = self.architecture_search.inherited_tasks
            self.workers.do(Work(parts, self.settings.model_dump(mode="json"), self.store, needed))

    def do(self, part: Part, store: RunStore) -> None:
        """Do a part of a run, as one of its workers.

        Raises:
            TrainingError: the training of a network diverged.
            WorkerError: a part that a search of this kind does not have.
        """
        self.store = store
        self._check_data()
        if part.kind == TRAINING:
            if isinstance(self.architecture_search, ElasticSearch) and self.architecture_search.inherits_weights:
                self.architecture_search.train(store)
            self._train(part.name, self.space.parse(part.genotype))
        else:
            self.architecture_search.do(part, store)

    def _test(self, name: str, architecture: Architecture, network: GraphNetwork) -> dict[str, Any]:
        """Test accuracy and costs of a trained network; its weights become an artifact."""

        def measure() -> dict[str, Any]:
            weights = self.store.artifacts.put(pack(TaskState(dict(network.state_dict()))), "safetensors")
            result = {
                "genotype": self.space.format(architecture),
                "test_accuracy": accuracy(network, self.dataset.test, self.dataset),
                **asdict(cost(network.graph)),
                "fingerprint": fingerprint(network.graph),
                "weights_sha256": weights.split(".")[0],
            }
            return {"artifact": weights, "result": result}

        return run_once("test", {"network": name}, measure, self.store, self.progress)["result"]

    def _test_leaves(self) -> list[dict[str, Any]]:
        """What each leaf proposed, with its accuracies when it left the race; the test accuracy is an oracle's view."""
        part = self.architecture_search

        def work() -> dict[str, Any]:
            rows: list[dict[str, Any]] = []
            halving = part.halving
            if halving is None:
                return {"leaves": rows}
            for index, value in sorted(halving.last_measurements().items()):
                network = halving.contenders[index].training.network
                rows.append({
                    "leaf": part.finalists[index].leaf,
                    "is_predicted": part.finalists[index].is_predicted,
                    "genotype": self.space.format(part.finalists[index].architecture),
                    "rounds": sum(index in measured for measured in halving.rounds),
                    "validation_accuracy": value.accuracy,
                    "validation_loss": value.loss,
                    "oracle_test_accuracy": accuracy(network, self.dataset.test, self.dataset),
                })  # fmt: skip
            return {"leaves": rows}

        return run_once("test", {"network": "leaves"}, work, self.store, self.progress)["leaves"]

    def _device(self, results: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
        """What the networks cost on the device; None without one."""
        feasibility = self.architecture_search.feasibility
        return None if feasibility is None else device_summary(feasibility, results, self.store.events, self.space)

    def _finish(self, macs: int, architecture: Architecture, network: GraphNetwork) -> dict[str, Any]:
        """Test and export the answer to a further limit."""
        name = _within(macs)
        result, path = self._test(name, architecture, network), self.store.folder / f"{name}.onnx"
        metadata = {"space": self.settings.space, "genotype": result["genotype"]}

        def work() -> dict[str, Any]:
            return {"onnx": export_checked(network, self.dataset, path, self.exporter, metadata)}

        exported = run_once("export-within", {"network": name}, work, self.store, self.progress)["onnx"]
        return {"limit": macs, **result, "onnx": {**exported, "path": str(path)}}

    def _export_once(self, network: GraphNetwork) -> dict[str, Any]:
        """Export, unless the file that the journal knows is there and unchanged."""
        path = self.store.folder / ONNX_NAME
        known = self.store.last("export")
        if known is not None and file_hash(path) != known["onnx"]["sha256"]:
            known = None
        if known is None:
            key = {"attempt": str(sum(1 for _ in self.store.find("export")))}
            known = run_once("export", key, lambda: {"onnx": self.export(network, path)}, self.store, self.progress)
        return {**known["onnx"], "path": str(path)}

    def export(self, network: GraphNetwork, path: Path, exporter: Exporter | None = None) -> dict[str, Any]:
        """Write a trained network for a runtime, the run's own by default, and compare both on test images."""
        tested = self.store.last("test", network=WINNER)
        metadata = {"space": self.settings.space, "genotype": tested["result"]["genotype"] if tested else ""}
        return export_checked(network, self.dataset, path, exporter or self.exporter, metadata)

    def ancestor(self, store: RunStore) -> Ancestor:
        """The winner of a finished run, as a family begins with it.

        Raises:
            StoreError: the run has no winner yet.
        """
        network = self.trained_winner(store)
        result = (store.last("test", network=WINNER) or {})["result"]
        lineage = {
            "run": str(store.folder), "genotype": result["genotype"], "data": self.dataset.name,
            "test_accuracy": result["test_accuracy"], "weights_sha256": result["weights_sha256"],
        }  # fmt: skip
        return Ancestor(
            self.space, self.space.parse(result["genotype"]), self.architecture_search.final_config, network,
            self.dataset, self.scale.final, lineage,
        )  # fmt: skip

    def trained_winner(self, store: RunStore) -> GraphNetwork:
        """The winner of a finished run, with the weights that were tested.

        Raises:
            StoreError: the run has no winner yet.
        """
        self.store = store
        tested = self.store.last("test", network=WINNER)
        if tested is None:
            raise StoreError(
                f"run folder {self.store.folder}: expected a finished run, got one without a tested winner; "
                f"finish it with: nasengine search --resume {self.store.folder}"
            )
        self._check_data()
        return self._train(WINNER, self.space.parse(tested["result"]["genotype"]))[1]


def _within(macs: int) -> str:
    """What the answer to a further limit is called."""
    return f"within-{macs}"
