"""Extremely randomised trees (Geurts, Ernst and Wehenkel, 2006) as plain arrays.

scikit-learn grows them; kept as arrays, they are stored without pickle and predict without scikit-learn.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy

CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Forest:
    """Nodes of all trees, one tree after the other.

    Args:
        left, right: nodes for what is at most the threshold, and for the rest, int32; a leaf leads to itself.
        feature: column that a node looks at, int16; 0 for leaves.
        threshold: float32.
        value: mean target of the node's rows, float32.
        roots: first node of each tree, int32.
    """

    left: numpy.ndarray
    right: numpy.ndarray
    feature: numpy.ndarray
    threshold: numpy.ndarray
    value: numpy.ndarray
    roots: numpy.ndarray

    @classmethod
    def fit(
        cls,
        columns: numpy.ndarray,
        targets: numpy.ndarray,
        seed: int,
        *,
        weights: numpy.ndarray | None = None,
        num_trees: int = 300,
        min_leaf: int = 1,
    ) -> "Forest":
        """Grow trees on (num_rows, num_columns); half of the columns are tried at each node."""
        from sklearn.ensemble import ExtraTreesRegressor

        model = ExtraTreesRegressor(num_trees, max_features=0.5, min_samples_leaf=min_leaf, random_state=seed)
        model.fit(columns.astype(numpy.float32), targets, sample_weight=weights)
        trees = [found.tree_ for found in model.estimators_]
        roots = numpy.cumsum([0, *(tree.node_count for tree in trees[:-1])])
        own = numpy.concatenate([root + numpy.arange(tree.node_count) for root, tree in zip(roots, trees, strict=True)])
        left = numpy.concatenate([root + tree.children_left for root, tree in zip(roots, trees, strict=True)])
        right = numpy.concatenate([root + tree.children_right for root, tree in zip(roots, trees, strict=True)])
        feature = numpy.concatenate([tree.feature for tree in trees])
        is_leaf = feature < 0
        return cls(
            numpy.where(is_leaf, own, left).astype(numpy.int32),
            numpy.where(is_leaf, own, right).astype(numpy.int32),
            numpy.where(is_leaf, 0, feature).astype(numpy.int16),
            _rounded_down(numpy.concatenate([tree.threshold for tree in trees])),
            numpy.concatenate([tree.value[:, 0, 0] for tree in trees]).astype(numpy.float32),
            roots.astype(numpy.int32),
        )

    def predict(self, columns: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Mean and standard deviation over the trees, (num_rows,) each."""
        means, stds = [], []
        for begin in range(0, len(columns), CHUNK):
            each = self._each_tree(columns[begin : begin + CHUNK].astype(numpy.float32))
            means.append(each.mean(1))
            stds.append(each.std(1))
        return numpy.concatenate(means or [numpy.zeros(0)]), numpy.concatenate(stds or [numpy.zeros(0)])

    def _each_tree(self, columns: numpy.ndarray) -> numpy.ndarray:
        """Predictions of the trees, (num_rows, num_trees)."""
        rows = numpy.arange(len(columns)).repeat(len(self.roots))
        nodes = numpy.tile(self.roots, len(columns))
        active = numpy.arange(len(nodes))
        while len(active):
            here = nodes[active]
            goes_left = columns[rows[active], self.feature[here]] <= self.threshold[here]
            reached = numpy.where(goes_left, self.left[here], self.right[here])
            nodes[active] = reached
            active = active[reached != here]
        return self.value[nodes].reshape(len(columns), len(self.roots)).astype(float)

    def tensors(self) -> Mapping[str, numpy.ndarray]:
        """Everything, as named arrays."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, numpy.ndarray]) -> "Forest":
        """Back from named arrays."""
        return cls(**{name: tensors[name] for name in cls.__dataclass_fields__})


def _rounded_down(values: numpy.ndarray) -> numpy.ndarray:
    """As float32, never upwards: a float32 number is at most the result just if it is at most the value."""
    rounded = values.astype(numpy.float32)
    return numpy.where(rounded > values, numpy.nextafter(rounded, numpy.float32(-numpy.inf)), rounded)
