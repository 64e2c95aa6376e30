"""Selection after single-path training: the best of many paths, each measured with its own batch-norm statistics.

Li and Talwalkar, 2019, arXiv 1902.07638; batch norms as in Guo et al., 2020, arXiv 1904.00420.
"""

import random
from collections.abc import Callable
from typing import Any

from nasengine.architecture import Architecture
from nasengine.protocols import Evaluation, Evaluator, SearchSpace, Strategy, TaskState
from nasengine.randomness import seed_of

MakeStrategy = Callable[[Any, random.Random], Strategy]
"""Takes a search space; strategies that need more of it say so."""


class SampledPathSelection:
    """Asks a strategy for paths and keeps the best by validation accuracy; a step is one path.

    A resumed run tells the strategy all earlier evaluations again, so that it goes on as if it had not stopped.

    Args:
        space: the search space.
        evaluator: measures a path with the weights of the supernet.
        make_strategy: proposes paths.
        num_paths: how many.
        seed: of the run.
    """

    name = "selection"

    def __init__(
        self,
        space: SearchSpace,
        evaluator: Evaluator,
        make_strategy: MakeStrategy,
        *,
        num_paths: int,
        seed: int,
    ) -> None:
        self.space, self.evaluator, self.num_steps = space, evaluator, num_paths
        self.strategy = make_strategy(space, random.Random(seed_of(seed, "selection")))
        self.history: list[tuple[str, float]] = []

    def run_step(self, step: int) -> dict[str, Any]:
        """Measure one path."""
        (architecture,) = self.strategy.ask(1)
        evaluation = self.evaluator(architecture)
        self.strategy.tell([evaluation])
        genotype, accuracy = self.space.format(architecture), evaluation.metrics["accuracy"]
        self.history.append((genotype, accuracy))
        return {"genotype": genotype, "accuracy": accuracy}

    def architecture(self) -> Architecture:
        """The best path so far; of equal ones the first."""
        return self.best(1)[0]

    def best(self, count: int) -> list[Architecture]:
        """The best different paths so far, best first; of equal ones the first."""
        ranked = sorted(self.history, key=lambda entry: -entry[1])  # stable
        return [self.space.parse(text) for text in list(dict.fromkeys(text for text, _ in ranked))[:count]]

    def state(self) -> TaskState:
        """All paths and their accuracies."""
        return TaskState(values={"history": self.history})

    def load_state(self, state: TaskState) -> None:
        """Go back to a state by replaying it to the strategy."""
        self.history = [(genotype, accuracy) for genotype, accuracy in state.values["history"]]
        for _, accuracy in self.history:
            (architecture,) = self.strategy.ask(1)
            self.strategy.tell([Evaluation(architecture, {"accuracy": accuracy})])
