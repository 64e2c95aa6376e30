"""The leaves of a split elastic supernet, used as if they were one supernet."""

from collections.abc import Sequence
from typing import cast

from torch import nn

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.network import GraphNetwork
from nasengine.splittable_space import SplittableElasticSpace
from nasengine.supernet.elastic.supernet import ElasticSupernet, Images, Logits


class ElasticLeaves(nn.Module):
    """Computes and extracts each architecture with the weights of the leaf that holds it.

    Args:
        leaves: parts that cover a space and have no architecture in common.
    """

    def __init__(self, leaves: Sequence[ElasticSupernet]) -> None:
        super().__init__()
        self.leaves = nn.ModuleList(leaves)
        self._allowed = [leaf.allowed for leaf in leaves]

    def leaf_of(self, architecture: Architecture) -> int:
        """Number of the leaf that holds an architecture.

        Raises:
            ConfigError: none does.
        """
        whole = self._leaf(0).whole
        assert isinstance(whole, SplittableElasticSpace)  # otherwise there were no leaves
        selection = whole.selection(architecture)
        for number, allowed in enumerate(self._allowed):
            if all(pick in allowed[key] for key, picks in selection.items() for pick in picks):
                return number
        raise ConfigError(f"elastic leaves: expected an architecture that one of them holds, got {architecture}")

    def forward(self, x: Images, architecture: Architecture) -> Logits:
        """Class scores of a batch of images by one subnet."""
        return self._leaf(self.leaf_of(architecture))(x, architecture)

    def extract(self, architecture: Architecture) -> GraphNetwork:
        """A network of its own; weights are copied."""
        return self._leaf(self.leaf_of(architecture)).extract(architecture)

    def _leaf(self, number: int) -> ElasticSupernet:
        return cast(ElasticSupernet, self.leaves[number])
