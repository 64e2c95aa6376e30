"""Which edges and candidates of a part of a supernet take part in a split."""

from nasengine.graph.supergraph import Selection
from nasengine.supernet.splitting.partition import Partition
from nasengine.supernet.supernet import Supernet


def selectable(supernet: Supernet) -> Selection:
    """Candidates of a part that a genotype may contain; ``none`` of the DARTS spaces belongs to no group."""
    return selectable_of(supernet, supernet.allowed)


def selectable_of(supernet: Supernet, allowed: Selection) -> Selection:
    """The same of other candidates than the part's own."""
    topology = supernet.space.topology
    return {
        (kind, edge): tuple(pick for pick in picks if topology.candidates[kind][edge][pick] not in topology.search_only)
        for (kind, edge), picks in allowed.items()
    }


def splittable_edges(supernet: Supernet, ways: int, *, split_again: bool = True) -> Selection:
    """Edges, normal and reduction alike, with enough candidates left to be split, and those candidates.

    Args:
        supernet: the part.
        ways: groups.
        split_again: edges that have lost candidates already count too.
    """
    whole = supernet.space.supergraph(supernet.config).everything()
    return {
        key: picks
        for key, picks in selectable(supernet).items()
        if len(picks) >= ways and (split_again or set(picks) == set(selectable_of(supernet, whole)[key]))
    }


def masks_of(supernet: Supernet, partition: Partition) -> list[Selection]:
    """Restrictions of the parts; only the edge that is split loses what belongs to no group."""
    allowed = {**supernet.allowed, partition.key: selectable(supernet)[partition.key]}
    return partition.masks(allowed)
