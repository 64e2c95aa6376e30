"""Values in an ONNX file that do not depend on the images: weights, and the arithmetic on shapes around reshapes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy
import onnx
from onnx import numpy_helper

from nasengine.errors import GraphError
from nasengine.tracing.graph_writer import MAX_VALUES, Constant

MAX_CONSTANT_VALUES = 1_000  # of shapes, axes and pads, the only constants whose values are read
MAX_RANK = 64
_FAULTS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, NotImplementedError)

Arrays = Sequence[numpy.ndarray]
Settings = dict[str, Any]
Fold = Callable[[Arrays, Settings], Any]


_WEIGHTS = (
    onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE
)  # fmt: skip


def stored_constant(tensor: onnx.TensorProto) -> Constant:
    """A stored tensor; floating-point tensors of more than one value count as learned, and are not read."""
    shape = tuple(tensor.dims)
    if len(shape) > MAX_RANK or any(size < 0 for size in shape) or math.prod(shape) > MAX_VALUES:
        raise GraphError(f"expected sizes of at most {MAX_VALUES} values, got {list(shape[:MAX_RANK])}")
    count = math.prod(shape)
    is_weight = tensor.data_type in _WEIGHTS and count > 1
    values = None
    if count <= MAX_CONSTANT_VALUES and not is_weight and not tensor.external_data:
        try:
            values = numpy_helper.to_array(tensor)
        except _FAULTS as fault:
            raise GraphError(f"expected stored values of shape {shape}, got others: {fault}") from fault
    return Constant(shape, count if is_weight else 0, values)


def attribute_constant(node: onnx.NodeProto, settings: Settings) -> Constant:
    """The value of a node of type Constant."""
    tensor = next((entry.t for entry in node.attribute if entry.name == "value"), None)
    if tensor is not None:
        return stored_constant(tensor)
    for name in ("value_float", "value_int", "value_floats", "value_ints"):
        if name in settings:
            values = numpy.asarray(settings[name])
            return Constant(values.shape, 0, values if values.size <= MAX_CONSTANT_VALUES else None)
    raise GraphError("expected a tensor or numbers as constant")


def folded(node: onnx.NodeProto, constants: Sequence[Constant | None], settings: Settings) -> Constant | None:
    """What a node makes of constants; None where it is not known, or too large to be worked out."""
    fold = FOLDS.get(node.op_type)
    arrays = [constant.values for constant in constants if constant is not None]
    if fold is None or node.domain not in ("", "ai.onnx") or any(array is None for array in arrays):
        return None
    try:
        with numpy.errstate(all="ignore"):
            result = numpy.asarray(fold([array for array in arrays if array is not None], settings))
    except _FAULTS as fault:
        raise GraphError(f"expected stored values that {node.op_type} takes, got others: {fault}") from fault
    learned = sum(constant.learned for constant in constants if constant is not None)
    return Constant(result.shape, learned, result if result.size <= MAX_CONSTANT_VALUES else None)


def _small(shape: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in shape)
    if len(sizes) > MAX_RANK or math.prod(sizes) > MAX_CONSTANT_VALUES**2:
        raise GraphError(f"expected a small constant, got shape {sizes[:MAX_RANK]}")
    return sizes


def _axes(arrays: Arrays, settings: Settings) -> tuple[int, ...] | None:
    axes = settings.get("axes", arrays[1] if len(arrays) > 1 else None)
    return None if axes is None else tuple(int(axis) for axis in axes)


def _cast(arrays: Arrays, settings: Settings) -> Any:
    return arrays[0].astype(onnx.helper.tensor_dtype_to_np_dtype(int(settings["to"])))


def _gather(arrays: Arrays, settings: Settings) -> Any:
    return numpy.take(arrays[0], arrays[1].astype(numpy.int64), axis=int(settings.get("axis", 0)))


def _slice(arrays: Arrays, settings: Settings) -> Any:
    names = ("starts", "ends", "axes", "steps")
    given = {**{name: settings[name] for name in names if name in settings}, **dict(zip(names, arrays[1:]))}  # noqa: B905
    axes = given.get("axes", range(len(given["starts"])))
    steps = given.get("steps", [1] * len(given["starts"]))
    cuts = [slice(None)] * arrays[0].ndim
    for start, end, axis, step in zip(given["starts"], given["ends"], axes, steps, strict=True):
        cuts[int(axis)] = slice(int(start), int(end) if end > -(2**62) else None, int(step))
    return arrays[0][tuple(cuts)]


def _unsqueeze(arrays: Arrays, settings: Settings) -> Any:
    return numpy.expand_dims(arrays[0], _axes(arrays, settings) or ())


def _reshape(arrays: Arrays, settings: Settings) -> Any:
    sizes = [int(size) for size in arrays[1]]
    return arrays[0].reshape([size or arrays[0].shape[place] for place, size in enumerate(sizes)])


def _constant_of_shape(arrays: Arrays, settings: Settings) -> Any:
    value = numpy_helper.to_array(settings["value"]).reshape(-1)[0] if "value" in settings else numpy.float32(0)
    return numpy.full(_small(arrays[0].tolist()), value)


def _expand(arrays: Arrays, settings: Settings) -> Any:
    shape = numpy.broadcast_shapes(arrays[0].shape, _small(arrays[1].tolist()))
    return numpy.broadcast_to(arrays[0], _small(shape))


def _range(arrays: Arrays, settings: Settings) -> Any:
    start, limit, step = (array.reshape(-1)[0] for array in arrays)
    _small([max(0, math.ceil((float(limit) - float(start)) / float(step)))])
    return numpy.arange(start, limit, step)


def _divide(arrays: Arrays, settings: Settings) -> Any:
    left, right = arrays
    if numpy.issubdtype(left.dtype, numpy.integer):
        return numpy.trunc(left / right).astype(left.dtype)
    return left / right


def _reduce(function: Callable[..., Any]) -> Fold:
    return lambda arrays, settings: function(
        arrays[0], axis=_axes(arrays, settings), keepdims=bool(settings.get("keepdims", 1))
    )


def _plain(function: Callable[..., Any], arity: int = 2) -> Fold:
    def fold(arrays: Arrays, settings: Settings) -> Any:
        if len(arrays) != arity:
            raise GraphError(f"expected {arity} inputs, got {len(arrays)}")
        _small(numpy.broadcast_shapes(*(array.shape for array in arrays)))
        return function(*arrays)

    return fold


FOLDS: dict[str, Fold] = {
    "Identity": _plain(numpy.asarray, 1), "Cast": _cast, "Gather": _gather, "Slice": _slice, "Unsqueeze": _unsqueeze,
    "Squeeze": lambda arrays, settings: numpy.squeeze(arrays[0], _axes(arrays, settings)), "Reshape": _reshape,
    "Transpose": lambda arrays, settings: numpy.transpose(arrays[0], settings.get("perm")),
    "Concat": lambda arrays, settings: numpy.concatenate(list(arrays), int(settings["axis"])),
    "Shape": lambda arrays, settings: arrays[0].shape[slice(settings.get("start"), settings.get("end"))],
    "ConstantOfShape": _constant_of_shape, "Expand": _expand, "Range": _range, "Add": _plain(numpy.add),
    "Sub": _plain(numpy.subtract), "Mul": _plain(numpy.multiply), "Div": _divide, "Mod": _plain(numpy.mod),
    "Neg": _plain(numpy.negative, 1), "Sqrt": _plain(numpy.sqrt, 1), "Floor": _plain(numpy.floor, 1),
    "Ceil": _plain(numpy.ceil, 1), "Abs": _plain(numpy.abs, 1), "Min": _plain(numpy.minimum),
    "Max": _plain(numpy.maximum),
    "Equal": _plain(numpy.equal), "Less": _plain(numpy.less), "Greater": _plain(numpy.greater),
    "Not": _plain(numpy.logical_not, 1), "And": _plain(numpy.logical_and), "Or": _plain(numpy.logical_or),
    "Where": _plain(numpy.where, 3), "ReduceProd": _reduce(numpy.prod), "ReduceSum": _reduce(numpy.sum),
    "ReduceMax": _reduce(numpy.max), "ReduceMin": _reduce(numpy.min),
}  # fmt: skip
"""What numpy computes for an operator on stored values; the result may hold at most the square of the input's limit."""
