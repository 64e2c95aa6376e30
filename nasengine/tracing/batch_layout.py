"""Where the batch is in a tensor of a network from outside.

Graphs leave the batch dimension out. Networks from outside move it (``nn.MultiheadAttention`` puts it second), merge
it with other dimensions (heads, windows, tokens), or were exported for a batch of one, where it cannot be told from
other dimensions of size one. Hence it is followed from the input on, through every reshape and transpose.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nasengine.errors import GraphError
from nasengine.graph.computation_graph import Shape


class NotExpressibleError(GraphError):
    """A valid operation that the primitives cannot express; it becomes a node of kind ``other``."""


@dataclass(frozen=True)
class BatchLayout:
    """Sizes of a tensor, and where the batch is among them.

    Args:
        shape: all sizes, the batch included.
        batch: number of images.
        axis: the dimension that holds the batch, alone or merged with others.
        inner: values of that dimension below the batch, so that its size is outer * batch * inner.

    >>> tokens = BatchLayout((2, 16, 32), batch=2)
    >>> heads = tokens.permuted([1, 0, 2]).reshaped((16, 8, 8))
    >>> heads.axis, heads.inner, heads.image_shape
    (1, 4, (16, 4, 8))
    """

    shape: Shape
    batch: int
    axis: int = 0
    inner: int = 1

    @property
    def is_apart(self) -> bool:
        """Whether the batch has a dimension of its own."""
        return self.shape[self.axis] == self.batch

    @property
    def image_shape(self) -> Shape:
        """Sizes without the batch."""
        merged = () if self.is_apart else (self.shape[self.axis] // self.batch,)
        return (*self.shape[: self.axis], *merged, *self.shape[self.axis + 1 :]) or (1,)

    def counted(self, axis: int) -> int:
        """An axis that may be counted from the end, from the beginning."""
        rank = len(self.shape)
        if not -rank <= axis < rank:
            raise GraphError(f"expected an axis between {-rank} and {rank - 1}, got {axis}")
        return axis % rank

    def place(self, axis: int) -> int:
        """Place of an axis in ``image_shape``."""
        found = self.counted(axis)
        if found == self.axis and (self.is_apart or self.batch > 1):
            raise NotExpressibleError("expected an operation along another dimension than the batch")
        return found - (self.is_apart and found > self.axis)

    def first(self) -> "BatchLayout":
        """The same tensor with the batch in dimension 0, as convolutions and pools want it."""
        if self.batch == 1 and self.shape[0] == 1:
            return replace(self, axis=0, inner=1)
        if self.axis or not self.is_apart:
            raise NotExpressibleError(f"expected the batch in dimension 0, got it in {self.axis} of {self.shape}")
        return self

    def like(self, other: "BatchLayout") -> "BatchLayout":
        """The same tensor with the batch where another tensor of as many dimensions has it.

        A batch of one that no dimension stands for may be in either; otherwise the places must agree.
        """
        if len(self.shape) == len(other.shape):
            if (self.axis, self.inner, self.is_apart) == (other.axis, other.inner, other.is_apart):
                return self
            if self.batch == 1 and (self.shape[other.axis] == 1) == other.is_apart:
                return replace(self, axis=other.axis, inner=self.shape[other.axis])
        raise NotExpressibleError(f"expected tensors with the batch in one place, got {self} and {other}")

    def permuted(self, order: Sequence[int]) -> "BatchLayout":
        """After a transpose."""
        if sorted(order) != list(range(len(self.shape))):
            raise GraphError(f"expected an order of {len(self.shape)} dimensions, got {list(order)}")
        return replace(self, shape=tuple(self.shape[axis] for axis in order), axis=list(order).index(self.axis))

    def inserted(self, axes: Sequence[int]) -> "BatchLayout":
        """After new dimensions of size 1; ``axes`` are counted in the result."""
        rank = len(self.shape) + len(axes)
        if any(not -rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) != len(axes):
            raise GraphError(f"expected different axes between {-rank} and {rank - 1}, got {list(axes)}")
        kept = [axis for axis in range(rank) if axis not in {axis % rank for axis in axes}]
        sizes = dict(zip(kept, self.shape, strict=True))
        found = replace(self, shape=tuple(sizes.get(axis, 1) for axis in range(rank)), axis=kept[self.axis])
        return found.first() if self.batch == 1 and not found.is_apart and found.shape[0] == 1 else found

    def removed(self, axes: Sequence[int]) -> "BatchLayout":
        """After dimensions of size 1 are dropped."""
        gone = {self.counted(axis) for axis in axes}
        if any(self.shape[axis] != 1 for axis in gone):
            raise GraphError(f"expected dimensions of size 1 among {self.shape}, got {sorted(gone)}")
        kept = [axis for axis in range(len(self.shape)) if axis not in gone]
        shape = tuple(self.shape[axis] for axis in kept)
        return replace(self, shape=shape, axis=kept.index(self.axis)) if self.axis in kept else self.reshaped(shape)

    def reshaped(self, shape: Shape) -> "BatchLayout":
        """After a reshape: the batch stays at the same distance from the last value."""
        if math.prod(shape) != math.prod(self.shape) or any(size < 1 for size in shape):
            raise GraphError(f"expected a shape of {math.prod(self.shape)} values, got {shape}")
        low = self.inner * math.prod(self.shape[self.axis + 1 :])
        found: list[BatchLayout] = []
        stride = 1
        for axis in range(len(shape) - 1, -1, -1):
            if low % stride == 0 and stride * shape[axis] % (low * self.batch) == 0:
                found.append(replace(self, shape=shape, axis=axis, inner=low // stride))
            stride *= shape[axis]
        if self.batch == 1 and shape:
            if not any(layout.is_apart for layout in found) and (shape[0] == 1 or not found):
                return replace(self, shape=shape, axis=0, inner=shape[0])
            found.sort(key=lambda layout: (layout.is_apart, -layout.axis))  # an axis of its own, the first one
        if not found:
            raise NotExpressibleError(f"expected a reshape that keeps images apart, got {self.shape} to {shape}")
        return found[-1]
