"""What a run was made with: versions, system and processor."""

import platform
from importlib.metadata import version
from typing import Any

import torch

from nasengine import __version__
from nasengine.store import RunStore

PACKAGES = ("torch", "numpy", "onnx", "onnxruntime")


def environment(device: str) -> dict[str, Any]:
    """Of this process, for the journal.

    Args:
        device: where the run's networks are trained; a GPU is called by its name.

    >>> sorted(environment("cpu"))
    ['accelerator', 'processor', 'system', 'versions']
    """
    return {
        "versions": {"nasengine": __version__, "Python": platform.python_version()}
        | {name: version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "accelerator": torch.cuda.get_device_name() if device == "cuda" else None,
    }


def record_environment(store: RunStore, device: str) -> None:
    """Note where a run goes on, once for each environment that it is in."""
    found = environment(device)
    known = store.last("environment")
    if known is None or any(known.get(name) != value for name, value in found.items()):
        store.record("environment", **found)


def _processor() -> str:
    """Its name where Linux tells it, otherwise the architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
