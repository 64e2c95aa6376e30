"""Devices that networks are made for: data in TOML files, one a device, and what networks cost there."""

from nasengine.targets.constraints import METRICS, Constraint, Constraints
from nasengine.targets.device_costs import Device, DeviceCost, limits_of
from nasengine.targets.first_process import FirstProcessLatency
from nasengine.targets.reading import built_in_targets, load_target, read_target
from nasengine.targets.target import Latency, Limits, Target

__all__ = [
    "METRICS", "Constraint", "Constraints", "Device", "DeviceCost", "FirstProcessLatency", "Latency", "Limits",
    "Target", "built_in_targets", "limits_of", "load_target", "read_target",
]  # fmt: skip
