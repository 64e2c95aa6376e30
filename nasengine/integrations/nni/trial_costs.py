"""What architectures cost, beside their accuracy in the page."""

from collections.abc import Mapping
from typing import Any

from nasengine.architecture import Architecture
from nasengine.errors import GraphError
from nasengine.graph import cost
from nasengine.protocols import NetworkConfig, SearchSpace

ON_DEVICE = ("latency_ms", "model_bytes")
"""Costs that only a run with a target knows."""
Metrics = dict[str, int | float]


class TrialCosts:
    """Costs of the networks that the run would train in the end; each is worked out once.

    Args:
        space: where architectures come from.
        config: size of these networks; None where the run has not looked at its images yet.
    """

    def __init__(self, space: SearchSpace, config: NetworkConfig | None) -> None:
        self.space, self.config = space, config
        self._known: dict[str, Metrics] = {}
        self._on_device: dict[str, Metrics] = {}

    def learn(self, summary: Mapping[str, Any]) -> None:
        """Take the costs on the device from the summary of a finished run."""
        target = summary.get("target")
        if not isinstance(target, dict):
            return
        for name in ("winner", "random_baseline"):
            self._keep(summary.get(name), target.get(name))
        trade_offs = target.get("trade_offs")
        for row in trade_offs.get("points", []) if isinstance(trade_offs, dict) else []:
            self._keep(row, row)

    def _keep(self, network: Any, costs: Any) -> None:
        if isinstance(network, dict) and isinstance(costs, dict) and isinstance(network.get("genotype"), str):
            found = {name: costs[name] for name in ON_DEVICE if isinstance(costs.get(name), (int, float))}
            self._on_device[network["genotype"]] = {name: value for name, value in found.items() if 0 <= value < 1e18}

    def of(self, text: str, architecture: Architecture) -> Metrics:
        """macs, parameters and memory; latency and size of the file where the run's target knows them."""
        if text not in self._known:
            self._known[text] = self._computed(architecture)
        return {**self._known[text], **self._on_device.get(text, {})}

    def _computed(self, architecture: Architecture) -> Metrics:
        if self.config is None:
            return {}
        try:
            found = cost(self.space.to_graph(architecture, self.config))
        except GraphError:  # such as images that are too small, in a journal that no search wrote
            return {}
        return {"macs": found.macs, "params": found.num_parameters, "peak_bytes": found.peak_activation_bytes}
