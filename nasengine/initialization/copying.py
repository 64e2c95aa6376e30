"""Other ways to begin at another depth, to compare stage-wise sharing with: whole units of one trained network.

``leading_units`` is what weight selection does to depth (Xu et al., 2024, arXiv 2311.18823: the first layers of a
larger network; called IMwLM by later papers) and, beyond the source's depth, FNA (Fang et al., 2020, arXiv 2001.02525:
the last layer again). ``deepened`` is Net2DeeperNet (Chen et al., 2016, arXiv 1511.05641): what is added changes
nothing at first.
"""

import torch

from nasengine.errors import ConfigError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.initialization.residual import hands_on_without, residual_ends
from nasengine.initialization.units import Unit, runs_of, units_of
from nasengine.network import GraphNetwork, module_key


def leading_units(source: GraphNetwork, graph: ComputationGraph, seed: int = 0) -> GraphNetwork:
    """A network whose runs of equal units begin as the source's do; its last unit fills what is deeper.

    Raises:
        ConfigError: units that the source does not have.
    """
    return _copied(source, graph, seed)[0]


def deepened(source: GraphNetwork, graph: ComputationGraph, seed: int = 0) -> GraphNetwork:
    """A deeper network that computes what the source does, in eval mode: new units add nothing to what they get.

    Raises:
        ConfigError: units that the source does not have, fewer units than it has, or added units whose input does not
            reach their output unchanged.
    """
    lengths = {run[0].signature: len(run) for run in runs_of(units_of(graph))}
    if any(lengths.get(run[0].signature, len(run)) < len(run) for run in runs_of(units_of(source.graph))):
        raise ConfigError("deeper network: expected at least the depth of its source, got less")
    network, added = _copied(source, graph, seed)
    with torch.no_grad():
        for unit in added:
            ends = residual_ends(network, unit)
            if not hands_on_without(network, unit, ends):
                raise ConfigError(
                    f"deeper network: expected units that can hand on their input, got {unit.name}, which adds "
                    "something without weights to it; start from stage-wise sharing or from leading units"
                )
            for node in ends:
                for parameter in network.nodes[module_key(graph.names[node])].parameters():
                    parameter.zero_()
    return network


def _copied(source: GraphNetwork, graph: ComputationGraph, seed: int) -> tuple[GraphNetwork, list[Unit]]:
    """The new network, and its units beyond the length of the source's runs, which are copies of the last one."""
    network = GraphNetwork(graph, seed)
    known = {run[0].signature: run for run in runs_of(units_of(source.graph))}
    added: list[Unit] = []
    for run in runs_of(units_of(graph)):
        given = known.get(run[0].signature)
        if given is None:
            raise ConfigError(
                f"unit {run[0].name or 'stem and head'}: expected one that the trained network has, got one of other "
                "inputs or other sizes"
            )
        for position, unit in enumerate(run):
            _copy(source, given[min(position, len(given) - 1)], network, unit)
        added += run[len(given) :]
    return network.train(source.training), added


def _copy(source: GraphNetwork, old: Unit, network: GraphNetwork, new: Unit) -> None:
    for old_node, new_node in zip(old.nodes, new.nodes, strict=True):
        key = module_key(network.graph.names[new_node])
        if key in network.nodes:
            network.nodes[key].load_state_dict(source.nodes[module_key(source.graph.names[old_node])].state_dict())
