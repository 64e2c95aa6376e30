"""Which candidates of a part of a supernet of cells take part in a split."""

from nasengine.graph.supergraph import Selection
from nasengine.supernet.supernet import Supernet


def selectable(supernet: Supernet) -> Selection:
    """Candidates of a part that a genotype may contain; ``none`` of the DARTS spaces belongs to no group."""
    topology = supernet.space.topology
    return {
        (kind, edge): tuple(pick for pick in picks if topology.candidates[kind][edge][pick] not in topology.search_only)
        for (kind, edge), picks in supernet.allowed.items()
    }
