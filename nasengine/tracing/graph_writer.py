"""Writes the graph of a network from outside: takes operations on whole batches, adds primitives on images.

Both readers, of torch modules and of ONNX files, speak to this one, in the coordinates that torch and ONNX share: all
dimensions are counted, the batch included, wherever it is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy

from nasengine.errors import GraphError
from nasengine.graph.builder import GraphBuilder
from nasengine.graph.computation_graph import ComputationGraph, Shape
from nasengine.graph.passes import canonical
from nasengine.tracing.batch_layout import BatchLayout, NotExpressibleError
from nasengine.tracing.patterns import fuse_patterns

MAX_VALUES = 2**40  # of one tensor; more than any machine holds
MAX_OPERATIONS = 200_000  # of one graph, as in its JSON


@dataclass(frozen=True)
class Value:
    """A tensor that depends on the images: its node, and where its batch is."""

    node: int
    layout: BatchLayout

    @property
    def shape(self) -> Shape:
        """All sizes, the batch included."""
        return self.layout.shape


@dataclass(frozen=True)
class Constant:
    """A tensor that does not depend on the images.

    Args:
        shape: its sizes.
        learned: how many learned values it was made of; 0 for buffers and numbers.
        values: the numbers, where they are few and known.
    """

    shape: Shape
    learned: int = 0
    values: numpy.ndarray | None = field(default=None, compare=False)


class GraphWriter:
    """Collects the nodes of one network."""

    def __init__(self) -> None:
        self._builder = GraphBuilder()
        self._used: dict[str, int] = {}

    def input(self, shape: Shape, name: str) -> Value:
        """Entry of the images, the batch in dimension 0."""
        layout = BatchLayout(shape, shape[0])
        self._check(layout)  # two or more sizes, so that something is left without the batch
        return Value(self._builder.input(layout.image_shape, self._unused(name)), layout)

    def add(self, kind: str, name: str, values: Sequence[Value], layout: BatchLayout, /, **settings: Any) -> Value:
        """A node whose result has a layout that the caller worked out."""
        self._check(layout)
        node = self._builder.add(kind, *(value.node for value in values), name=self._unused(name), **settings)
        if self._builder.shape(node) != layout.image_shape:
            raise NotExpressibleError(
                f"expected {kind} to give {layout.image_shape}, got {self._builder.shape(node)} without the batch"
            )
        return Value(node, layout)

    def same(self, kind: str, name: str, value: Value, /, **settings: Any) -> Value:
        """An operation that leaves the shape alone."""
        return self.add(kind, name, [value], value.layout, **settings)

    def windows(self, kind: str, name: str, value: Value, **settings: Any) -> Value:
        """A convolution or pool over (batch, channels, height, width); pads are (top, left, bottom, right)."""
        source = Value(value.node, value.layout.first())
        if len(source.shape) != 4:
            raise NotExpressibleError(f"expected {kind} on (batch, channels, height, width), got {source.shape}")
        top, left, bottom, right = settings.pop("pads", (0, 0, 0, 0))
        if (top, left) != (bottom, right):
            if kind != "conv":
                raise NotExpressibleError(
                    f"expected pools padded alike on both sides, got {(top, left, bottom, right)}"
                )
            source = self.pad(f"{name}/pad", source, (top, bottom, left, right))
            top = left = 0
        node = self._builder.add(kind, source.node, name=self._unused(name), padding=(top, left), **settings)
        layout = BatchLayout((source.layout.batch, *self._builder.shape(node)), source.layout.batch)
        self._check(layout)
        return Value(node, layout)

    def pad(self, name: str, value: Value, pads: tuple[int, int, int, int]) -> Value:
        """Zeros around images; ``pads`` are (top, bottom, left, right)."""
        layout = value.layout.first()
        if len(layout.shape) != 4:
            raise NotExpressibleError(f"expected padding of images, got {layout.shape}")
        batch, channels, height, width = layout.shape
        after = (batch, channels, height + pads[0] + pads[1], width + pads[2] + pads[3])
        return self.add("pad", name, [value], replace(layout, shape=after), pads=pads)

    def resize(self, name: str, value: Value, sizes: Sequence[int]) -> Value:
        """Images of other sizes, linear between pixels."""
        layout = value.layout.first()
        if len(layout.shape) != 4 or len(sizes) != 2 or min(sizes) < 1:
            raise NotExpressibleError(f"expected images to be resized, got {layout.shape} and {list(sizes)}")
        if tuple(sizes) == layout.shape[2:]:
            return Value(value.node, layout)
        after = replace(layout, shape=(*layout.shape[:2], *sizes))
        return self.add("resize", name, [value], after, sizes=tuple(sizes))

    def linear(self, name: str, value: Value, features: int, bias: bool) -> Value:
        """A linear layer on the last dimension."""
        value.layout.place(-1)
        layout = replace(value.layout, shape=(*value.shape[:-1], features))
        return self.add("linear", name, [value], layout, features=features, bias=bias)

    def matmul(self, name: str, left: Value, right: Value) -> Value:
        """A matrix product of two tensors that depend on the images."""
        first, second = left.layout, right.layout.like(left.layout)
        rank = len(first.shape)
        is_stacked = first.axis < rank - 2 or (first.batch == 1 and not first.is_apart)
        if rank < 3 or first.shape[:-2] != second.shape[:-2] or not is_stacked:
            raise NotExpressibleError(f"expected stacks of matrices, the batch among the stacks, got {first}, {second}")
        layout = replace(first, shape=(*first.shape[:-1], second.shape[-1]))
        return self.add("matmul", name, [left, right], layout)

    def attention(self, name: str, parts: tuple[Value, Value, Value], factor: float | None, mask: object) -> Value:
        """softmax(factor * q k^T + mask) v (Vaswani et al., 2017, arXiv 1706.03762); the factor is 1 / sqrt(width)."""
        query, key, value = parts
        rank = len(key.shape)
        turned = self.transpose(f"{name}/turn", key, [*range(rank - 2), rank - 1, rank - 2])
        scores = self.matmul(f"{name}/scores", query, turned)
        number = 1 / math.sqrt(query.shape[-1]) if factor is None else factor
        scores = self.same("scale", f"{name}/scale", scores, value=float(number))
        if isinstance(mask, Value):
            scores = self.arithmetic("add", f"{name}/mask", scores, mask)
        elif isinstance(mask, Constant):
            scores = self.affine("offset", f"{name}/mask", scores, mask)
        return self.matmul(name, self.softmax(f"{name}/softmax", scores, -1), value)

    def mean(self, name: str, value: Value, axes: Sequence[int], keepdim: bool) -> Value:
        """Mean over some dimensions."""
        counted = sorted(value.layout.counted(axis) for axis in axes)
        places = tuple(value.layout.place(axis) for axis in counted)
        sizes = tuple(1 if axis in counted else size for axis, size in enumerate(value.shape))
        layout = replace(value.layout, shape=sizes)
        if not keepdim:
            layout = layout.removed(counted)
        return self.add("mean", name, [value], layout, axes=places, **({"keepdim": True} if keepdim else {}))

    def softmax(self, name: str, value: Value, axis: int) -> Value:
        """Softmax over one dimension."""
        return self.same("softmax", name, value, axis=value.layout.place(axis))

    def arithmetic(self, kind: str, name: str, left: Value, right: Value) -> Value:
        """Element-wise arithmetic of two tensors that depend on the images."""
        first, second = left.layout, right.layout.like(left.layout)
        layout = replace(first, shape=_broadcast(first.shape, second.shape))
        return self.add(kind, name, [left, right], layout)

    def affine(self, kind: str, name: str, value: Value, constant: Constant) -> Value:
        """``scale`` or ``offset`` by stored values that broadcast over the images."""
        if _broadcast(value.shape, constant.shape) != value.shape:
            raise NotExpressibleError(f"expected a constant that broadcasts to {value.shape}, got {constant.shape}")
        shape, place = constant.shape, value.layout.axis - len(value.shape) + len(constant.shape)
        if place > 0 and value.layout.is_apart:  # the batch, here in the middle, is first in the graph
            shape = shape[:place] + shape[place + 1 :]
        settings = {"learned": True, "parameter_shape": shape} if constant.learned else {"fixed": shape}
        return self.same(kind, name, value, **settings)

    def token(self, name: str, value: Value, constant: Constant) -> Value:
        """Stored values, repeated for each image, with the batch where ``value`` has it: class tokens and the like."""
        layout = replace(value.layout, shape=constant.shape)
        if not value.layout.is_apart or layout.shape[layout.axis] != layout.batch:
            raise NotExpressibleError(f"expected a constant repeated for each image, got {constant.shape}")
        zeros = self.add("zero", f"{name}/zero", [value], layout, sizes=layout.image_shape)
        sizes = layout.image_shape
        settings = {"learned": True, "parameter_shape": sizes} if constant.learned else {"fixed": sizes}
        return self.same("offset", name, zeros, **settings)

    def concat(self, name: str, parts: Sequence[Value | Constant], axis: int) -> Value:
        """Concatenation; stored values among the parts become tokens."""
        first = next(part for part in parts if isinstance(part, Value))
        values = [part if isinstance(part, Value) else self.token(f"{name}/token", first, part) for part in parts]
        place, counted = first.layout.place(axis), first.layout.counted(axis)
        for value in values:
            rest = value.shape[:counted] + value.shape[counted + 1 :]
            value.layout.like(first.layout)
            if rest != first.shape[:counted] + first.shape[counted + 1 :]:
                raise NotExpressibleError(f"expected tensors alike outside axis {axis}, got {value.shape}")
        if len(values) == 1:
            return first
        sizes = list(first.shape)
        sizes[counted] = sum(value.shape[counted] for value in values)
        return self.add("concat", name, values, replace(first.layout, shape=tuple(sizes)), axis=place)

    def reshape(self, name: str, value: Value, layout: BatchLayout) -> Value:
        """The same values in another shape."""
        self._check(layout)
        if layout.image_shape == value.layout.image_shape:
            return Value(value.node, layout)
        if len(layout.image_shape) == 1:
            return self.add("flatten", name, [value], layout)
        return self.add("reshape", name, [value], layout, shape=layout.image_shape)

    def transpose(self, name: str, value: Value, order: Sequence[int]) -> Value:
        """Dimensions in another order."""
        layout = value.layout.permuted([value.layout.counted(axis) for axis in order])
        kept = [axis for axis in order if value.layout.counted(axis) != value.layout.axis or not value.layout.is_apart]
        places = tuple(_place(value.layout, axis) for axis in kept)
        if places == tuple(sorted(places)):
            return Value(value.node, layout)
        return self.add("transpose", name, [value], layout, axes=places)

    def slice(self, name: str, value: Value, axis: int, cut: slice) -> Value:
        """Some positions of one dimension; first channels, and images without first rows, are kinds of their own."""
        layout, counted = value.layout, value.layout.counted(axis)
        start, stop, step = cut.indices(value.shape[counted])
        size = len(range(start, stop, step))
        if size == value.shape[counted] and step > 0:
            return value
        place = layout.place(axis)
        if size < 1 or step < 1:
            raise NotExpressibleError(f"expected a slice that goes forward and keeps something, got {cut}")
        after = replace(layout, shape=(*value.shape[:counted], size, *value.shape[counted + 1 :]))
        if step == 1 and start == 0 and place == 0:
            return self.add("truncate", name, [value], after, channels=size)
        if step == 1 and stop == value.shape[counted] and place in (1, 2) and len(layout.image_shape) == 3:
            return self.add("crop", name, [value], after, offset=(start, 0) if place == 1 else (0, start))
        return self.add("slice", name, [value], after, axis=place, start=start, size=size, step=step)

    def select(self, name: str, value: Value, axis: int, index: int) -> Value:
        """One position of one dimension, which disappears."""
        counted = value.layout.counted(axis)
        size = value.shape[counted]
        if not -size <= index < size:
            raise GraphError(f"expected an index below {size}, got {index}")
        start = index % size
        cut = self.slice(name, value, counted, slice(start, start + 1))
        return self.reshape(f"{name}/select", cut, cut.layout.removed([counted]))

    def other(self, name: str, operator: str, values: Sequence[Value], layout: BatchLayout, learned: int = 0) -> Value:
        """An operation that is not known, with the shape that somebody else worked out."""
        shape = layout.image_shape
        return self.add("other", name, values, layout, shape=shape, operator=operator, num_parameters=learned)

    def finish(self, outputs: Sequence[Value]) -> ComputationGraph:
        """The graph in canonical form, checked."""
        graph = canonical(fuse_patterns(canonical(self._builder.build(*(value.node for value in outputs)))))
        graph.check()
        return graph

    def _unused(self, name: str) -> str:
        """The name, numbered where it was given before."""
        found = name
        while found in self._used:
            self._used[name] += 1
            found = f"{name}#{self._used[name]}"
        self._used[found] = 1
        return found

    def _check(self, layout: BatchLayout) -> None:
        if len(self._used) >= MAX_OPERATIONS:
            raise GraphError(f"expected at most {MAX_OPERATIONS} operations")
        if math.prod(layout.shape) > MAX_VALUES:
            raise GraphError(f"expected tensors of at most {MAX_VALUES} values, got shape {layout.shape}")


def _broadcast(left: Shape, right: Shape) -> Shape:
    rank = max(len(left), len(right))
    padded = [(1,) * (rank - len(shape)) + shape for shape in (left, right)]
    if any(a != b and 1 not in (a, b) for a, b in zip(*padded, strict=True)):
        raise GraphError(f"expected shapes that broadcast, got {left} and {right}")
    return tuple(max(sizes) for sizes in zip(*padded, strict=True))


def _place(layout: BatchLayout, axis: int) -> int:
    """Place in the image shape, also of the dimension that the batch is merged into."""
    found = layout.counted(axis)
    return found - (layout.is_apart and found > layout.axis)


def like(values: Sequence[Value], shape: Shape) -> BatchLayout:
    """Layout of a result of which only the sizes are known: the batch stays where it was, or is where its size is.

    Raises:
        GraphError: there is no such place, so that the result cannot be followed.
    """
    for layout in (value.layout for value in values):
        axis = layout.axis
        if axis < len(shape) and shape[axis] == layout.shape[axis]:
            return replace(layout, shape=shape)
    batch = values[0].layout.batch
    if batch in shape:
        return BatchLayout(shape, batch, shape.index(batch))
    if batch == 1 and shape:
        return BatchLayout(shape, 1, 0, shape[0])
    raise GraphError(f"expected a result for each of {batch} images, got shape {shape}")
