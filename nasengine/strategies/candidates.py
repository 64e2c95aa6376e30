"""Architectures with their graphs, each built once."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.protocols import NetworkConfig, SearchSpace, SupportsEnumeration


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a predictor chooses from; strategies may share one, since nothing changes it.

    Args:
        architectures: all different.
        graphs: of each.
        is_whole_space: whether there is nothing else to choose from.
    """

    architectures: tuple[Architecture, ...]
    graphs: tuple[ComputationGraph, ...]
    is_whole_space: bool = False

    @classmethod
    def of(cls, space: SearchSpace, architectures: Iterable[Architecture], config: NetworkConfig) -> "Candidates":
        """Build the graphs of some architectures."""
        known = tuple(architectures)
        return cls(known, tuple(space.to_graph(found, config) for found in known))

    @classmethod
    def drawn_from(cls, space: SearchSpace, rng: random.Random, size: int, config: NetworkConfig) -> "Candidates":
        """The whole space where it can be listed and has at most ``size`` architectures, otherwise a sample."""
        if isinstance(space, SupportsEnumeration) and space.size <= size:
            return cls.all_of(space, config)
        return cls.of(space, dict.fromkeys(space.sample(rng) for _ in range(size)), config)

    @classmethod
    def all_of(cls, space: SearchSpace, config: NetworkConfig) -> "Candidates":
        """Build the graphs of a whole space.

        Raises:
            ConfigError: the space cannot be listed.
        """
        if not isinstance(space, SupportsEnumeration):
            raise ConfigError(f"space {space.name}: expected one that can be listed; sample from it instead")
        found = cls.of(space, space.enumerate(), config)
        return cls(found.architectures, found.graphs, is_whole_space=True)

    def with_others(self, keep: Sequence[int], others: "Candidates") -> "Candidates":
        """Some of these and those of ``others`` that are new."""
        new = [index for index, found in enumerate(others.architectures) if found not in self.index_by_architecture]
        return Candidates(
            (*(self.architectures[index] for index in keep), *(others.architectures[index] for index in new)),
            (*(self.graphs[index] for index in keep), *(others.graphs[index] for index in new)),
        )

    @cached_property
    def index_by_architecture(self) -> dict[Architecture, int]:
        """Where each architecture stands."""
        return {found: index for index, found in enumerate(self.architectures)}

    def __len__(self) -> int:
        return len(self.architectures)
