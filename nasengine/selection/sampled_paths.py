"""Selection after single-path training: the best of many paths, each measured with its own batch-norm statistics.

Li and Talwalkar, 2019, arXiv 1902.07638; batch norms as in Guo et al., 2020, arXiv 1904.00420.
"""

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

from nasengine.architecture import Architecture
from nasengine.protocols import Evaluation, Evaluator, SearchSpace, Strategy, TaskState
from nasengine.randomness import seed_of
from nasengine.selection.perturbation import Criterion

MakeStrategy = Callable[[Any, random.Random], Strategy]
"""Takes a search space; strategies that need more of it say so."""


class SampledPathSelection:
    """Asks a strategy for paths and keeps the best by validation accuracy or loss; a step is one path.

    Accuracies of paths that share weights differ by few images, losses by all of them. What a path is worth by its
    loss is the chance that it gives the right class (the geometric mean over images), which is told to strategies in
    the place of the accuracy. A resumed run tells the strategy all earlier evaluations again, so that it goes on as if
    it had not stopped.

    Args:
        space: the search space.
        evaluator: measures a path with the weights of the supernet.
        make_strategy: proposes paths.
        num_paths: how many.
        seed: of the run.
        criterion: what paths are compared by.
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
        criterion: Criterion = "accuracy",
    ) -> None:
        self.space, self.evaluator, self.num_steps, self.criterion = space, evaluator, num_paths, criterion
        self.strategy = make_strategy(space, random.Random(seed_of(seed, "selection")))
        self.history: list[tuple[str, float]] = []
        self._metrics: dict[str, Mapping[str, float]] = {}  # strategies may propose a path twice

    def run_step(self, step: int) -> dict[str, Any]:
        """Measure one path."""
        (architecture,) = self.strategy.ask(1)
        genotype = self.space.format(architecture)
        if genotype not in self._metrics:
            self._metrics[genotype] = self.evaluator(architecture).metrics
        metrics = self._metrics[genotype]
        worth = metrics["accuracy"] if self.criterion == "accuracy" else math.exp(-metrics["loss"])
        self._tell(architecture, worth)
        self.history.append((genotype, worth))
        return {"genotype": genotype, **{name: metrics[name] for name in ("accuracy", "loss") if name in metrics}}

    def architecture(self) -> Architecture:
        """The best path so far; of equal ones the first."""
        return self.best(1)[0]

    def best(self, count: int) -> list[Architecture]:
        """The best different paths so far, best first; of equal ones the first."""
        ranked = sorted(self.history, key=lambda entry: -entry[1])  # stable
        return [self.space.parse(text) for text in list(dict.fromkeys(text for text, _ in ranked))[:count]]

    def state(self) -> TaskState:
        """All paths and what they are worth."""
        return TaskState(values={"history": self.history})

    def load_state(self, state: TaskState) -> None:
        """Go back to a state by replaying it to the strategy."""
        self.history = [(genotype, worth) for genotype, worth in state.values["history"]]
        for _, worth in self.history:
            (architecture,) = self.strategy.ask(1)
            self._tell(architecture, worth)

    def _tell(self, architecture: Architecture, worth: float) -> None:
        self.strategy.tell([Evaluation(architecture, {"accuracy": worth})])
