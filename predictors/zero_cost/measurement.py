"""All proxies by name, and the measurement of several at once."""

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from torch import nn

from nasengine.errors import DataError, TrainingError, UnknownNameError
from predictors.zero_cost import az_nas, training_pass
from predictors.zero_cost.batch import ProxyBatch
from predictors.zero_cost.synflow import synflow_pass
from predictors.zero_cost.undisturbed import device_of
from predictors.zero_cost.zen import zen_pass

Proxy = Callable[[nn.Module, ProxyBatch], float]
Pass = Callable[[nn.Module, ProxyBatch, frozenset[str], int], dict[str, float]]

_PASSES: tuple[tuple[tuple[str, ...], Pass], ...] = (
    (training_pass.NAMES, training_pass.training_pass),
    (("synflow",), synflow_pass),
    (("zen",), zen_pass),
    (az_nas.AZ_NAS, az_nas.az_nas_pass),
)
"""What each pass through a network can tell."""


def measure(
    network: nn.Module, batch: ProxyBatch, names: Iterable[str] | None = None, seed: int = 0
) -> dict[str, float]:
    """Scores of a network; proxies that need the same passes share them.

    The network is left exactly as it was. Its own weights count; only ``zen`` and ``az_*`` draw new ones.

    Args:
        network: maps images to class scores; any module.
        batch: on the device of the network.
        names: of ``PROXIES``; all by default.
        seed: of weights and directions that proxies draw, and of what the network draws, such as dropout.

    Returns:
        Finite scores by name, in the order of ``names``; more is better.

    Raises:
        UnknownNameError: a name that is not in ``PROXIES``.
        DataError: images or labels that do not fit the network.
        ConfigError: a network that a proxy cannot be computed of.
        TrainingError: a score that is not finite.

    >>> from predictors.zero_cost.batch import random_batch
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    >>> scores = measure(network, random_batch((3, 8, 8), 10, size=4), ["snip", "nwot"])
    >>> list(scores), scores["nwot"] > 0
    (['snip', 'nwot'], True)
    """
    asked = list(PROXIES) if names is None else _known(names)
    if batch.images.device != device_of(network):
        raise DataError(
            f"proxy batch: expected images on the network's device {device_of(network)}, "
            f"got them on {batch.images.device}; move one of the two"
        )
    values: dict[str, float] = {}
    for offered, run in _PASSES:
        wanted = frozenset(asked).intersection(offered)
        if wanted:
            values.update(run(network, batch, wanted, seed))
    return {name: _finite(name, values[name]) for name in asked}


def _known(names: Iterable[str]) -> list[str]:
    """Each name once."""
    found = list(dict.fromkeys(names))
    for name in found:
        if name not in PROXIES:
            raise UnknownNameError("proxy", name, PROXIES)
    return found


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise TrainingError(
            f"proxy {name}: expected a finite score, got {value}; "
            "look for weights that are not finite, or leave this proxy out"
        )
    return value


def _alone(name: str) -> Proxy:
    def proxy(network: nn.Module, batch: ProxyBatch) -> float:
        return measure(network, batch, (name,))[name]

    proxy.__name__ = name
    return proxy


PROXIES: Mapping[str, Proxy] = MappingProxyType({name: _alone(name) for offered, _ in _PASSES for name in offered})
"""Every proxy by name, each for itself; ``measure`` computes several in less time."""
