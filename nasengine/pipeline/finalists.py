"""The race between what leaves and predictor propose, whose networks may be trained elsewhere.

What a network does in a round is recorded as steps of its own, and depends on its architecture, the settings with their
seed and its number alone: what the store has of it is not done again, here or there.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from nasengine.architecture import Architecture
from nasengine.data import ImageDataset
from nasengine.errors import StoreError, WorkerError
from nasengine.evaluation import Contender, NetworkTraining, RoundLengths, SuccessiveHalving
from nasengine.network import GraphNetwork
from nasengine.pipeline.settings import SearchSettings
from nasengine.pipeline.task import Progress, run_task
from nasengine.pipeline.workers import FINALIST, Part, Work, Workers
from nasengine.protocols import NetworkConfig, SearchScale, SupernetSpace, Task, TaskState
from nasengine.store import RunStore

FINALISTS, ROUND = "finalists", "round"
"""Events: who is in the race, and what a round came to."""
Prepare = Callable[[GraphNetwork], None]


@dataclass(frozen=True)
class FinalistRace:
    """Successive halving in a run.

    Args:
        settings: of the run.
        scale: how networks are trained, and how long.
        space: where they are from.
        config: their size, that of the supernet.
        dataset: ``train`` and ``validation`` are used.
        progress: is told about every step.
        workers: train the networks of a round elsewhere, if there are any.
    """

    settings: SearchSettings
    scale: SearchScale
    space: SupernetSpace
    config: NetworkConfig
    dataset: ImageDataset
    progress: Progress
    workers: Workers | None = None

    def run(
        self, networks: dict[Architecture, GraphNetwork], first_epochs: int, prepare: Prepare, store: RunStore
    ) -> SuccessiveHalving:
        """Do what the store does not have yet.

        Args:
            networks: in the order of their numbers, with the weights that they begin with.
            first_epochs: of the first round.
            prepare: makes a network ready to be compared.
            store: of the run.

        Raises:
            TrainingError: all networks of a round diverged.
            StoreError: the run began with other finalists.
        """
        lengths = self._lengths(len(networks), first_epochs)
        parts = [self._contender(index, one, lengths, prepare) for index, one in enumerate(networks.values())]
        race = SuccessiveHalving(parts)
        if lengths.num_rounds > 0:
            self._record(list(networks), first_epochs, store)
            for part in parts:  # their weights are here alone
                self._bring(part, 1, store)
        for number in range(lengths.num_rounds):
            self._bring_elsewhere(race, number, lengths, store)
            for index in race.alive:
                self._bring(parts[index], lengths.steps_until(number), store)
            self._end_round(race, number, store)
        return race

    def do(self, part: Part, store: RunStore) -> None:
        """Bring a network to the end of a round, as a worker of the run.

        Raises:
            WorkerError: the store does not say what to begin with.
        """
        known, (index, number) = store.last(FINALISTS), _read_name(part.name)
        if known is None or store.last("step", task=part.tasks[0]) is None:
            raise WorkerError(f"worker: expected the finalists and their weights, got {part.name} without them")
        lengths = self._lengths(len(known["genotypes"]), known["first_epochs"])
        graph = self.space.to_graph(self.space.parse(known["genotypes"][index]), self.config)
        network = GraphNetwork(graph).to(self.settings.device)
        contender = self._contender(index, network, lengths, lambda _: None)
        self._bring(contender, lengths.steps_until(number), store)

    def _lengths(self, num_networks: int, first_epochs: int) -> RoundLengths:
        return RoundLengths(num_networks, self.scale.halving_epochs, first_epochs)

    def _contender(self, index: int, network: GraphNetwork, lengths: RoundLengths, prepare: Prepare) -> Contender:
        recipe = replace(self.scale.supernet, epochs=max(1, lengths.total_epochs))
        training = NetworkTraining(
            f"candidate {index}", network, self.dataset, recipe, seed=self.settings.seed, split=self.dataset.train
        )
        return Contender(index, training, lengths, lambda: prepare(network))

    def _record(self, architectures: list[Architecture], first_epochs: int, store: RunStore) -> None:
        """Record who is in the race, or see that it is who was there when the run began."""
        found = {"genotypes": [*map(self.space.format, architectures)], "first_epochs": first_epochs}
        known = store.last(FINALISTS)
        if known is None:
            store.record(FINALISTS, **found)
        elif {name: known.get(name) for name in found} != found:
            raise StoreError(
                f"run folder {store.folder}: expected the finalists that the run began with, {known.get('genotypes')}, "
                f"got {found['genotypes']}; use the version of nasengine that began it, or start a new run"
            )

    def _bring(self, contender: Contender, num_steps: int, store: RunStore) -> None:
        """Let a network do its steps up to a number, but for those that the store has."""
        if contender.num_done < num_steps:
            last = store.last("step", task=contender.name)
            steps = FirstSteps(contender, max(num_steps, 0 if last is None else last["step"] + 1))
            run_task(steps, contender.name, store, self.progress, seed=self.settings.seed)

    def _bring_elsewhere(self, race: SuccessiveHalving, number: int, lengths: RoundLengths, store: RunStore) -> None:
        """Let workers do it, where there is something to train for more than one of them."""
        end = lengths.steps_until(number)
        behind = [race.contenders[index] for index in race.alive if race.contenders[index].num_done < end]
        if self.workers is not None and lengths.is_trained_in(number) and len(behind) > 1:
            parts = [Part(FINALIST, _name(one.index, number), (one.name,)) for one in behind]
            self.workers.do(Work(parts, self.settings.model_dump(mode="json"), store))

    def _end_round(self, race: SuccessiveHalving, number: int, store: RunStore) -> None:
        measured = race.end_round()
        if store.last(ROUND, number=number) is None:
            accuracies = {str(index): value.accuracy for index, value in measured.items()}
            losses = {str(index): value.loss for index, value in measured.items()}
            store.record(ROUND, number=number, validation_accuracy=accuracies, validation_loss=losses, alive=race.alive)


@dataclass(frozen=True)
class FirstSteps:
    """The beginning of a task, as a task."""

    task: Task
    num_steps: int

    def run_step(self, step: int) -> dict[str, Any]:
        """One of its steps."""
        return self.task.run_step(step)

    def state(self) -> TaskState:
        """That of the task."""
        return self.task.state()

    def load_state(self, state: TaskState) -> None:
        """Go back to a state."""
        self.task.load_state(state)


def _name(index: int, number: int) -> str:
    """Of a part.

    >>> _read_name(_name(3, 1))
    (3, 1)
    """
    return f"{index} in round {number}"


def _read_name(name: str) -> tuple[int, int]:
    index, _, number = name.partition(" in round ")
    return int(index), int(number)
