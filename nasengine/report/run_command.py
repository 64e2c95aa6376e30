"""The command that starts a run again, from the settings that it was begun with."""

import shlex
from typing import Any

DEFAULTS: dict[str, Any] = {
    "training": "fixed", "predictor": None, "pool": 400, "splits": None, "ways": 2,
    "split_by": "gradient-matching", "preset": None, "depths": [], "sizes": [], "target": None, "max_latency_ms": None,
    "max_bytes": None, "max_peak_bytes": None, "max_macs": None, "max_parameters": None, "learning_rate": None,
    "precision": "float32", "also_macs": [],
}  # fmt: skip
"""Options of ``nasengine search`` that are left out where they have these values."""
ALWAYS = ("space", "data", "budget", "seed", "training", "selection", "device")
FLAGS = {
    "restart_leaves": (False, "--inherit"), "fine_tune": (False, "--from-scratch"), "compiled": (True, "--compile"),
}  # fmt: skip


def command_of(settings: dict[str, Any]) -> str:
    """For a shell, an option a line; every value is quoted.

    Args:
        settings: of the run, as its journal has them.

    >>> print(command_of({"space": "darts", "data": "my images", "sizes": ["small", "large"], "threads": 2}))
    OMP_NUM_THREADS=2 nasengine search \\
      --space darts \\
      --data 'my images' \\
      --sizes small,large
    """
    words: list[list[str]] = []
    is_elastic = settings.get("training") in ("sandwich", "shrinking")
    defaults = {**DEFAULTS, "strategy": "regularized_evolution" if is_elastic else "random"}
    for name in (*ALWAYS, *(name for name in defaults if name not in ALWAYS)):
        value = settings.get(name)
        if value is None or (name not in ALWAYS and value == defaults[name]):
            continue
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        words.append([f"--{name.replace('_', '-')}", text])
    words += [[flag] for name, (value, flag) in FLAGS.items() if settings.get(name) is value]
    threads = settings.get("threads")
    before = (
        f"OMP_NUM_THREADS={threads} " if isinstance(threads, int) and settings.get("device", "cpu") == "cpu" else ""
    )
    return " \\\n  ".join([f"{before}nasengine search", *map(shlex.join, words)])
