"""Limits that leave something to choose: not below the smallest network of a space, nor above its largest."""

from collections.abc import Mapping

from nasengine.errors import ConfigError
from nasengine.protocols import ElasticSpace, NetworkConfig
from nasengine.targets.constraints import METRICS

OPTIONS = {"macs": "--max-macs", "num_parameters": "--max-parameters"}


def check_limits(
    space: ElasticSpace,
    config: NetworkConfig,
    limits: Mapping[str, int | float | None],
    options: Mapping[str, str] = OPTIONS,
) -> None:
    """See that limits on macs and parameters lie between the costs of the smallest and of the largest network.

    Args:
        space: says what these cost.
        config: size of the networks.
        limits: by metric, None for none.
        options: that they come from, by metric.

    Raises:
        ConfigError: one that does not; with both costs.

    >>> from search_spaces.mobilenet import MOBILENET
    >>> check_limits(MOBILENET, MOBILENET.defaults, {"macs": 300e6})
    """
    smallest, largest = space.cost_range(config)
    faults = []
    for metric, option in options.items():
        low, high, limit = getattr(smallest, metric), getattr(largest, metric), limits.get(metric)
        if limit is not None and not low <= limit <= high:
            faults.append(
                f"{option}: expected a limit from {low:,} to {high:,}, the {METRICS[metric]} of the smallest and of "
                f"the largest network of {space.name} at this budget, got {limit:,.0f}"
            )
    if faults:
        raise ConfigError(faults)
