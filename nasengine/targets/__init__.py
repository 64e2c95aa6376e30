"""Devices that networks are made for: data in TOML files, one a device."""

from nasengine.targets.reading import built_in_targets, load_target, read_target
from nasengine.targets.target import Latency, Limits, Target

__all__ = ["Latency", "Limits", "Target", "built_in_targets", "load_target", "read_target"]
