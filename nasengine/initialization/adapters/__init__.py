"""Adapters of low rank for fine-tuning a found network on new data; they start in weights or in activations."""

from nasengine.initialization.adapters.attachment import (
    Adaptation,
    adapter_parameters,
    attach_adapters,
    merge_adapters,
)
from nasengine.initialization.adapters.config import AdapterConfig
from nasengine.initialization.adapters.storage import adapter_state, load_adapters

__all__ = [
    "Adaptation",
    "AdapterConfig",
    "adapter_parameters",
    "adapter_state",
    "attach_adapters",
    "load_adapters",
    "merge_adapters",
]
