"""Elastic supernets that are trained once for all parts of their benchmark, and what is found in them."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import is_grad_enabled, nn
from torch.nn.modules.module import register_module_forward_hook

from nasengine.architecture import Architecture
from nasengine.data import ImageDataset
from nasengine.evaluation import SharedWeightsEvaluator
from nasengine.network import GraphNetwork
from nasengine.pipeline.elastic_prediction import SubnetScores, with_scores
from nasengine.pipeline.elastic_search import PHASES
from nasengine.pipeline.recalibration import recalibrated
from nasengine.protocols import ElasticSpace, NetworkConfig, SearchScale, Strategy
from nasengine.randomness import seed_of
from nasengine.selection import MakeStrategy, SampledPathSelection
from nasengine.strategies import WithinLimits
from nasengine.supernet.elastic import ElasticSupernet, ElasticTraining

PASSES = 3
"""Cost of a training step over that of its forward pass: the gradients of inputs and of weights cost as much each."""


@dataclass(frozen=True)
class Setting:
    """What a supernet is trained on, and how.

    Args:
        space: with an elastic supernet.
        scale: sizes, recipes, and how many subnets are measured for each answer.
        dataset: images.
        training: phases, as ``--training``.
    """

    space: ElasticSpace
    scale: SearchScale
    dataset: ImageDataset
    training: str = "sandwich"

    @property
    def config(self) -> NetworkConfig:
        """Size of all networks."""
        data, scale = self.dataset, self.scale
        return NetworkConfig(data.num_classes, data.image_shape, scale.supernet_channels, scale.supernet_cells)

    def with_epochs(self, epochs: int) -> "Setting":
        """The same for so many epochs of the supernet."""
        return replace(self, scale=replace(self.scale, supernet=replace(self.scale.supernet, epochs=epochs)))


def limits_of(space: ElasticSpace, config: NetworkConfig, count: int) -> list[int]:
    """Limits on macs, each as many times the one before, between the smallest and the largest network without both.

    >>> from search_spaces.mobilenet import MOBILENET
    >>> [limit // 10**6 for limit in limits_of(MOBILENET, MOBILENET.defaults, 3)]
    [79, 153, 294]
    """
    low, high = (found.macs for found in space.cost_range(config))
    return [int(low * (high / low) ** (place / (count + 1))) for place in range(1, count + 1)]


class TrainedSupernet:
    """A supernet; it is trained when it is needed first.

    Args:
        setting: how.
        seed: of everything.
    """

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting, self.seed, self.macs = setting, seed, Macs(setting)

    @cached_property
    def supernet(self) -> ElasticSupernet:
        """Trained; the multiply-accumulates of that are ``macs.training``."""
        setting, recipe = self.setting, self.setting.scale.supernet
        supernet = ElasticSupernet(setting.space, setting.config, seed_of(self.seed, "supernet"))
        phases = PHASES[setting.training](recipe.epochs, setting.space.elastic_choices)
        task = ElasticTraining(supernet, setting.dataset, recipe, seed=self.seed, phases=phases)
        with self.macs.counting():
            for epoch in range(task.num_steps):
                task.run_step(epoch)
        return supernet

    def history(
        self, make_strategy: MakeStrategy, limit: int, scores: SubnetScores | None = None, *, pool: int = 400
    ) -> list[tuple[str, float]]:
        """Subnets within a limit on macs and their validation accuracies, in the order in which they were measured."""
        setting, num_paths = self.setting, self.setting.scale.sampled_paths

        def make(space: ElasticSpace, rng: random.Random) -> Strategy:
            kept = WithinLimits(
                make_strategy(space, rng), lambda one: space.cost(one, setting.config).macs <= limit, [space.smallest()]
            )
            return with_scores(kept, scores, pool=pool, num_paths=num_paths)

        evaluator = SharedWeightsEvaluator(self.supernet, setting.dataset, seed=self.seed)
        selection = SampledPathSelection(setting.space, evaluator, make, num_paths=num_paths, seed=self.seed)
        with self.macs.counting():
            for step in range(num_paths):
                selection.run_step(step)
        return selection.history

    def network(self, architecture: Architecture) -> GraphNetwork:
        """A subnet as a network of its own, with statistics of training images, as a search begins to fine-tune it."""
        return recalibrated(self.supernet.extract(architecture), self.setting.dataset, self.seed)


class Macs:
    """Counts what supernets multiply and accumulate, in training and in measuring.

    Args:
        setting: whose space knows what a subnet costs.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting, self.training, self.measuring = setting, 0, 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Within this context passes of any elastic supernet are counted."""
        handle = register_module_forward_hook(self._count)
        try:
            yield
        finally:
            handle.remove()

    def _count(self, module: nn.Module, inputs: tuple[Any, ...], _: Any) -> None:
        if isinstance(module, ElasticSupernet):
            images, architecture = inputs
            macs = len(images) * self.setting.space.cost(architecture, self.setting.config).macs
            if is_grad_enabled():
                self.training += PASSES * macs
            else:
                self.measuring += macs
