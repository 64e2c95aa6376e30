"""Picking one of several networks, the worse half leaving at each round, with more training from round to round.

Jamieson and Talwalkar, 2016, arXiv 1502.07943. Networks learn from one half of the training images and are compared on
the other; test images take no part. They begin with weights that they inherit, so that the first round may need no
training. Each leaves with the weights that it was compared with.
"""

import math
from dataclasses import dataclass
from typing import Any

from nasengine.errors import TrainingError
from nasengine.evaluation.accuracy import Measurement, measure
from nasengine.evaluation.network_training import NetworkTraining
from nasengine.protocols import TaskState


class SuccessiveHalving:
    """A task whose steps are epochs of the networks that are still in the race.

    The smaller validation loss is ahead, since accuracies of networks that have hardly been trained differ by few
    images; of equal losses the larger accuracy. A network that diverges leaves the race.

    Args:
        trainings: one for each network, on the training half; their recipes are as long as all rounds together.
        epochs: of the second round, and each further round doubles what a network has had.
        first_epochs: of the first round; none where all weights are equally well prepared.
    """

    name = "halving"

    def __init__(self, trainings: list[NetworkTraining], epochs: int, first_epochs: int = 0) -> None:
        self.trainings = trainings
        self.alive = list(range(len(trainings)))
        self.failed: dict[int, str] = {}
        self.rounds: list[dict[int, Measurement]] = []
        self._current: dict[int, Measurement] = {}  # of networks that have not been trained since
        self._plan: list[_Epoch | None] = []  # None ends a round
        count, done, number = len(trainings), 0, 0
        while count > 1:
            total = first_epochs + (epochs * 2 ** (number - 1) if number else 0)
            self._plan.extend(_Epoch(place, epoch) for place in range(count) for epoch in range(done, total))
            self._plan.append(None)
            count, done, number = -(-count // 2), total, number + 1

    @property
    def num_steps(self) -> int:
        """Epochs of all networks together, and ends of rounds."""
        return len(self._plan)

    @staticmethod
    def total_epochs(num_networks: int, epochs: int) -> int:
        """Epochs that the last two have had at the end."""
        rounds = max(0, (num_networks - 1).bit_length())
        return epochs * 2 ** (rounds - 2) if rounds > 1 else 0

    def run_step(self, step: int) -> dict[str, Any]:
        """Train one network for an epoch, or measure all and drop the worse half."""
        entry = self._plan[step]
        if entry is None:
            return {"validation_accuracy": {str(key): value.accuracy for key, value in self._end_round().items()}}
        index = self.alive[entry.place]
        metrics: dict[str, Any] = {"network": index}
        self._current.pop(index, None)
        if index not in self.failed:
            try:
                metrics |= self.trainings[index].run_step(entry.epoch)
            except TrainingError as fault:
                self.failed[index] = metrics["failure"] = str(fault)
        return metrics

    def _end_round(self) -> dict[int, Measurement]:
        measured = {}
        for index in self.alive:
            part = self.trainings[index]
            if index not in self.failed and index not in self._current:
                self._current[index] = measure(part.network, part.dataset.validation, part.dataset)
            if index in self._current:
                measured[index] = self._current[index]
        if not measured:
            raise TrainingError(f"all networks of the last round diverged; the first: {self.failed[self.alive[0]]}")
        self.rounds.append(measured)
        worst = Measurement(0.0, math.inf)
        ranked = sorted(self.alive, key=lambda index: _order(measured.get(index, worst)))  # stable
        self.alive = sorted(ranked[: -(-len(ranked) // 2)])
        return measured

    def winner(self) -> int:
        """Index of the network that is left."""
        return self.alive[0]

    def last_measurements(self) -> dict[int, Measurement]:
        """Of each network, as it was when it left the race."""
        return {index: value for measured in self.rounds for index, value in measured.items()}

    def state(self) -> TaskState:
        """All networks, and what was measured; those that have left need their optimizers no more."""
        tensors = {
            f"network{index}/{name}": value
            for index, training in enumerate(self.trainings)
            for name, value in training.state().tensors.items()
            if index in self.alive or name.startswith("network.")
        }
        rounds = [{str(key): [value.accuracy, value.loss] for key, value in row.items()} for row in self.rounds]
        failed = {str(index): reason for index, reason in self.failed.items()}
        return TaskState(tensors, {"alive": self.alive, "rounds": rounds, "failed": failed})

    def load_state(self, state: TaskState) -> None:
        """Go back to a state."""
        self.alive, self._current = list(state.values["alive"]), {}
        self.rounds = [{int(key): Measurement(*value) for key, value in row.items()} for row in state.values["rounds"]]
        self.failed = {int(index): reason for index, reason in state.values["failed"].items()}
        for index, training in enumerate(self.trainings):
            prefix = f"network{index}/"
            own = {name.removeprefix(prefix): v for name, v in state.tensors.items() if name.startswith(prefix)}
            training.load_state(TaskState(own))


@dataclass(frozen=True, slots=True)
class _Epoch:
    place: int  # among those alive
    epoch: int


def _order(value: Measurement) -> tuple[float, float]:
    return value.loss, -value.accuracy
