"""Trees on ranks as a member: robust with few labels, blind to what two networks have in common beyond features."""

from collections.abc import Mapping

import numpy

from predictors.gennape.forest import Forest
from predictors.gennape.inputs import MemberInputs, distinct_columns
from predictors.gennape.member import fitted


class ForestMember:
    """Extremely randomised trees on the columns of the inputs; the spread of the trees is the standard deviation."""

    def __init__(self, num_trees: int = 200) -> None:
        self._num_trees = num_trees
        self._fitted: tuple[numpy.ndarray, Forest] | None = None

    def fit(self, inputs: MemberInputs, targets: numpy.ndarray, seed: int) -> None:
        """Grow the trees."""
        columns = inputs.columns()
        kept = distinct_columns(columns)
        self._fitted = kept, Forest.fit(columns[:, kept], targets, seed, num_trees=self._num_trees)

    def predict(self, inputs: MemberInputs) -> tuple[numpy.ndarray, numpy.ndarray | None]:
        """Mean and standard deviation, (num_networks,) each.

        Raises:
            ConfigError: called before ``fit``.
        """
        kept, forest = fitted(self._fitted)
        return forest.predict(inputs.columns()[:, kept])

    def tensors(self) -> Mapping[str, numpy.ndarray]:
        """Everything, as named arrays."""
        kept, forest = fitted(self._fitted)
        return {"columns": kept, **forest.tensors()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, numpy.ndarray]) -> "ForestMember":
        """Back from named arrays."""
        member = cls(len(tensors["roots"]))
        member._fitted = tensors["columns"], Forest.from_tensors(tensors)
        return member
