"""Picking one of several networks by short trainings, the worse half leaving at each round.

Jamieson and Talwalkar, 2016, arXiv 1502.07943. Networks learn from one half of the training images and are compared on
the other; test images take no part.
"""

from typing import Any

from nasengine.evaluation.accuracy import accuracy
from nasengine.evaluation.network_training import NetworkTraining
from nasengine.protocols import TaskState


class SuccessiveHalving:
    """A task whose steps are epochs of the networks that are still in the race.

    Args:
        trainings: one for each network, on the training half; their recipes are as long as all rounds together.
        epochs: of the first round; each round doubles the epochs that a network has had.
    """

    name = "halving"

    def __init__(self, trainings: list[NetworkTraining], epochs: int) -> None:
        self.trainings = trainings
        self.alive = list(range(len(trainings)))
        self.accuracies: list[dict[int, float]] = []
        self._plan: list[tuple[int, int, int]] = []  # round, place among those alive, epoch
        count, done, number = len(trainings), 0, 0
        while count > 1:
            total = epochs * 2**number
            self._plan.extend((number, place, epoch) for place in range(count) for epoch in range(done, total))
            count, done, number = -(-count // 2), total, number + 1

    @property
    def num_steps(self) -> int:
        """Epochs of all networks together."""
        return len(self._plan)

    @staticmethod
    def total_epochs(num_networks: int, epochs: int) -> int:
        """Epochs that the last two have had at the end."""
        rounds = max(0, (num_networks - 1).bit_length() - 1)
        return epochs * 2**rounds

    def run_step(self, step: int) -> dict[str, Any]:
        """Train one network for an epoch; at the end of a round measure all and drop the worse half."""
        number, place, epoch = self._plan[step]
        index = self.alive[place]
        metrics = {"network": index, "round": number, **self.trainings[index].run_step(epoch)}
        if step + 1 == len(self._plan) or self._plan[step + 1][0] > number:
            metrics["validation_accuracy"] = {str(key): value for key, value in self._end_round().items()}
        return metrics

    def _end_round(self) -> dict[int, float]:
        measured = {
            index: accuracy(part.network, part.dataset.validation, part.dataset)
            for index, part in ((index, self.trainings[index]) for index in self.alive)
        }
        self.accuracies.append(measured)
        ranked = sorted(self.alive, key=lambda index: -measured[index])  # stable: of equal ones the first
        self.alive = sorted(ranked[: -(-len(ranked) // 2)])
        return measured

    def winner(self) -> int:
        """Index of the network that is left."""
        return self.alive[0]

    def state(self) -> TaskState:
        """Networks in the race, and all accuracies."""
        tensors = {
            f"network{index}/{name}": value
            for index in self.alive
            for name, value in self.trainings[index].state().tensors.items()
        }
        rounds = [{str(key): value for key, value in measured.items()} for measured in self.accuracies]
        return TaskState(tensors, {"alive": self.alive, "accuracies": rounds})

    def load_state(self, state: TaskState) -> None:
        """Go back to a state."""
        self.alive = list(state.values["alive"])
        self.accuracies = [{int(key): value for key, value in row.items()} for row in state.values["accuracies"]]
        for index in self.alive:
            prefix = f"network{index}/"
            own = {name.removeprefix(prefix): v for name, v in state.tensors.items() if name.startswith(prefix)}
            self.trainings[index].load_state(TaskState(own))
