"""The command that starts a run again, from the settings that it was begun with."""

import shlex
from collections.abc import Mapping
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
ALWAYS_OF_TRIALS = ("space", "data", "budget", "seed", "device")
OPTIONS_OF_TRIALS = ("count", "concurrency", "tuner", "table", "column", "epochs", "max_seconds")
"""Of ``nasengine nni``; there the number of trials is called ``--trials``."""


def command_name(settings: Mapping[str, Any]) -> str:
    """Which command makes such a run.

    >>> command_name({"trials": None}), command_name({"trials": {"count": 3}})
    ('search', 'nni')
    """
    return "nni" if settings.get("trials") else "search"


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
    trials = settings.get("trials")
    words = _of_trials(settings, trials) if trials else _of_search(settings)
    threads = settings.get("threads")
    before = (
        f"OMP_NUM_THREADS={threads} " if isinstance(threads, int) and settings.get("device", "cpu") == "cpu" else ""
    )
    return " \\\n  ".join([f"{before}nasengine {command_name(settings)}", *map(shlex.join, words)])


def _of_search(settings: Mapping[str, Any]) -> list[list[str]]:
    is_elastic = settings.get("training") in ("sandwich", "shrinking")
    defaults = {**DEFAULTS, "strategy": "regularized_evolution" if is_elastic else "random"}
    words = [_option(name, settings.get(name)) for name in ALWAYS if settings.get(name) is not None]
    for name, usual in defaults.items():
        value = settings.get(name)
        if name not in ALWAYS and value is not None and value != usual:
            words.append(_option(name, value))
    return words + [[flag] for name, (value, flag) in FLAGS.items() if settings.get(name) is value]


def _of_trials(settings: Mapping[str, Any], trials: Mapping[str, Any]) -> list[list[str]]:
    words = [_option(name, settings.get(name)) for name in ALWAYS_OF_TRIALS if settings.get(name) is not None]
    if trials.get("tuner") is None:
        words.append(_option("strategy", settings.get("strategy")))
    for name in ("target", *OPTIONS_OF_TRIALS):
        value = settings.get(name) if name == "target" else trials.get(name)
        if value is not None:
            words.append(_option("trials" if name == "count" else name, value))
    return words + [["--stop-early"]] * (trials.get("stop_early") is True)


def _option(name: str, value: Any) -> list[str]:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return [f"--{name.replace('_', '-')}", text]
