"""States of tasks as safetensors files: tensors by name, plain values in the header."""

import json

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from nasengine.errors import StoreError
from nasengine.protocols import TaskState

VALUES_KEY = "values"


def pack(state: TaskState) -> bytes:
    """Bytes of a state; equal states give equal bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(state.tensors.items())}
    return save(tensors, metadata={VALUES_KEY: json.dumps(state.values, sort_keys=True)})


def unpack(content: bytes) -> TaskState:
    """Read a state back.

    Raises:
        StoreError: the bytes are no such state.
    """
    try:
        tensors = load(content)
        length = int.from_bytes(content[:8], "little")
        values = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][VALUES_KEY])
    except (SafetensorError, ValueError, KeyError, RecursionError) as fault:
        raise StoreError(f"state of a task: expected a safetensors file with values, got {fault!r}") from fault
    if not isinstance(values, dict):
        raise StoreError(f"state of a task: expected an object of values, got {type(values).__name__}")
    return TaskState(tensors, values)


def load_weights(path: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Raises:
        StoreError: the file is no such file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as fault:
        raise StoreError(f"weights {path}: expected a safetensors file, got {fault}") from fault
