"""Picking one of several networks, the worse half leaving at each round, with more training from round to round.

Jamieson and Talwalkar, 2016, arXiv 1502.07943. Networks learn from one half of the training images and are compared on
the other; test images take no part. They begin with weights that they inherit, so that the first round may need no
training. Each leaves with the weights that it was compared with.

What a network does in a round depends on no other network, so that a round may be spread over processes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nasengine.errors import TrainingError
from nasengine.evaluation.accuracy import Measurement, measure
from nasengine.evaluation.network_training import NetworkTraining
from nasengine.protocols import TaskState


@dataclass(frozen=True, slots=True)
class RoundLengths:
    """How much networks are trained until one of them is left.

    Args:
        num_networks: at the beginning.
        epochs: of the second round, and each further round doubles what a network has had.
        first_epochs: of the first round; none where all weights are equally well prepared.

    >>> [RoundLengths(5, epochs=2, first_epochs=1).epochs_until(number) for number in range(3)]
    [1, 3, 5]
    """

    num_networks: int
    epochs: int
    first_epochs: int = 0

    @property
    def num_rounds(self) -> int:
        """Rounds until one network is left."""
        return (self.num_networks - 1).bit_length()

    @property
    def total_epochs(self) -> int:
        """Epochs that the last two have had at the end."""
        return self.epochs_until(self.num_rounds - 1)

    def epochs_until(self, number: int) -> int:
        """Epochs that a network has had at the end of a round; the first is number 0."""
        return self.first_epochs + (self.epochs * 2 ** (number - 1) if number > 0 else 0)

    def steps_until(self, number: int) -> int:
        """Steps of a contender until the end of a round: its beginning, its epochs, and a measurement a round."""
        return 1 + self.epochs_until(number) + number + 1

    def is_trained_in(self, number: int) -> bool:
        """Whether a round is more than measuring."""
        return self.epochs_until(number) > (self.epochs_until(number - 1) if number > 0 else 0)


class Contender:
    """One network's part in the race, as a task: what it begins with, then in each round epochs and a measurement.

    A network that diverges stays as it is and is not measured any more.

    Args:
        index: of the network.
        training: on the training half; its recipe is as long as all rounds together.
        lengths: of the rounds.
        prepare: the first step: makes the network ready to be compared.
    """

    def __init__(
        self, index: int, training: NetworkTraining, lengths: RoundLengths, prepare: Callable[[], None]
    ) -> None:
        self.index, self.training, self.prepare = index, training, prepare
        self.name = f"finalist{index}"
        self.measured: list[Measurement] = []
        self.failure: str | None = None
        self.num_done = 0
        self._plan: list[int | None] = []  # None measures
        done = 0
        for number in range(lengths.num_rounds):
            self._plan += [*range(done, lengths.epochs_until(number)), None]
            done = lengths.epochs_until(number)

    @property
    def num_steps(self) -> int:
        """Of a network that stays until the end."""
        return 1 + len(self._plan)

    def run_step(self, step: int) -> dict[str, Any]:
        """Make ready, train for an epoch, or measure."""
        metrics: dict[str, Any] = {"network": self.index}
        if step == 0:
            self.prepare()
        elif self.failure is None:
            epoch = self._plan[step - 1]
            metrics |= self._measure() if epoch is None else self._train(epoch)
        self.num_done = step + 1
        return metrics

    def _train(self, epoch: int) -> dict[str, Any]:
        try:
            return self.training.run_step(epoch)
        except TrainingError as fault:
            self.failure = str(fault)
            return {"failure": self.failure}

    def _measure(self) -> dict[str, Any]:
        found = measure(self.training.network, self.training.dataset.validation, self.training.dataset)
        if not math.isfinite(found.loss):
            self.failure = f"{self.name}: expected a finite validation loss, got {found.loss}"
            return {"failure": self.failure}
        self.measured.append(found)
        return {"validation_accuracy": found.accuracy, "validation_loss": found.loss}

    def state(self) -> TaskState:
        """Weights and momenta, and what was measured."""
        measured = [[value.accuracy, value.loss] for value in self.measured]
        values = {"measured": measured, "failure": self.failure, "num_done": self.num_done}
        return TaskState(self.training.state().tensors, values)

    def load_state(self, state: TaskState) -> None:
        """Go back to a state.

        Raises:
            StoreError: it belongs to another network.
        """
        self.training.load_state(TaskState(state.tensors))
        self.measured = [Measurement(*value) for value in state.values["measured"]]
        self.failure, self.num_done = state.values["failure"], state.values["num_done"]


class SuccessiveHalving:
    """Who is still in the race.

    The smaller validation loss is ahead, since accuracies of networks that have hardly been trained differ by few
    images; of equal losses the larger accuracy. A network that diverges leaves the race.

    Args:
        contenders: by index.
    """

    def __init__(self, contenders: list[Contender]) -> None:
        self.contenders = contenders
        self.alive = list(range(len(contenders)))
        self.rounds: list[dict[int, Measurement]] = []

    def end_round(self) -> dict[int, Measurement]:
        """Drop the worse half of the networks, all of which have been trained and measured in this round.

        Returns:
            What was measured, by index.

        Raises:
            TrainingError: all have diverged.
        """
        number = len(self.rounds)
        parts = [self.contenders[index] for index in self.alive]
        measured = {part.index: part.measured[number] for part in parts if len(part.measured) > number}
        if not measured:
            raise TrainingError(f"all networks of the last round diverged; the first: {parts[0].failure}")
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


def _order(value: Measurement) -> tuple[float, float]:
    return value.loss, -value.accuracy
