"""The auxiliary network: networks of one architecture at several depths whose stages share weights.

Stage-wise weight sharing (SWS; Xia et al., 2024, arXiv 2404.16897) trains one network in which consecutive layers share
their weights, so that what is learned does not depend on how often a layer is repeated. Two things are ours: batch
norms stay private to a position, since running statistics differ where one convolution is applied again (MiniViT keeps
its norms private too), and further depths of the same architecture may be trained with the same weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nasengine.graph.computation_graph import ComputationGraph
from nasengine.initialization.stages import Place, Stage, places_in, stages_of
from nasengine.network import GraphNetwork, module_key
from nasengine.randomness import seed_of

STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class Slot:
    """One tensor of a learngene, and where networks have it.

    Args:
        key: name in the learngene.
        module: key of the module in ``GraphNetwork.nodes``.
        tensor: name of the parameter or statistic.
    """

    key: str
    module: str
    tensor: str


def slots_of(graph: ComputationGraph, places: Sequence[Place], network: GraphNetwork) -> Iterator[Slot]:
    """All tensors of a network and their names in the learngene that its places refer to.

    What units of a stage share is named after the stage; tensors of batch norms also after the position in it.
    """
    for place in places:
        for node, local in zip(place.unit.nodes, place.unit.local_names, strict=True):
            key = module_key(graph.names[node])
            if key not in network.nodes:
                continue
            module = network.nodes[key]
            private = isinstance(module, nn.BatchNorm2d)
            where = f"{place.stage.name}@{place.position}" if private else place.stage.name
            for name, _ in module.named_parameters():
                yield Slot(f"{where}:{local}.{name}", key, name)
            if private:
                for name in STATISTICS:
                    yield Slot(f"{where}:{local}.{name}", key, name)


class AuxiliaryNetwork(nn.Module):
    """Networks of several depths with one set of weights.

    Args:
        graphs: the auxiliary network itself, whose stages count, then other depths that are trained with it.
        stages: see ``stages_of``.
        seed: of the initial weights.
    """

    def __init__(self, graphs: Sequence[ComputationGraph], *, stages: int | Sequence[int] = 1, seed: int = 0) -> None:
        super().__init__()
        self.stages = _all_stages(graphs, stages)
        self.networks = nn.ModuleList(
            GraphNetwork(graph, seed_of(seed, "auxiliary", index)) for index, graph in enumerate(graphs)
        )
        self.places = [places_in(graph, self.stages) for graph in graphs]
        self._shared: dict[str, nn.Parameter] = {}
        for index in range(len(graphs)):
            self._tie(index)

    def _tie(self, index: int) -> None:
        """Let a network use the weights that others have already; running statistics are its own."""
        network = self.network(index)
        for slot in slots_of(network.graph, self.places[index], network):
            if slot.tensor not in STATISTICS:
                module = network.nodes[slot.module]
                mine = getattr(module, slot.tensor)
                setattr(module, slot.tensor, self._shared.setdefault(slot.key, mine))

    def network(self, index: int) -> GraphNetwork:
        """The network of one depth."""
        found = self.networks[index]
        assert isinstance(found, GraphNetwork)
        return found

    def forward(
        self, x: Tensor, drop_path: float = 0.0, generator: torch.Generator | None = None, *, index: int = 0
    ) -> Tensor | tuple[Tensor, ...]:
        """What the network of depth ``index`` says of a batch; other arguments as in ``GraphNetwork``."""
        return self.network(index)(x, drop_path, generator)

    def tensors(self) -> dict[str, Tensor]:
        """The learngene: every tensor once, copied; statistics come from the first network that has the position."""
        found: dict[str, Tensor] = {}
        for index, places in enumerate(self.places):
            network = self.network(index)
            for slot in slots_of(network.graph, places, network):
                if slot.key not in found:
                    found[slot.key] = getattr(network.nodes[slot.module], slot.tensor).detach().clone()
        return found


def _all_stages(graphs: Sequence[ComputationGraph], stages: int | Sequence[int]) -> list[Stage]:
    """Stages of the first network, and one for each run of units that only others have."""
    found = stages_of(graphs[0], stages)
    known = {stage.signature for stage in found}
    for index, graph in enumerate(graphs[1:], start=1):
        new = [stage for stage in stages_of(graph) if stage.signature not in known]
        known |= {stage.signature for stage in new}
        found += [Stage(f"{index}.{stage.name}", stage.signature, stage.size) for stage in new]
    return found
