"""Architectures as people read them in a table: one choice in each column.

NNI's page shows every parameter as a column and an axis, and nested ones as "[object Object]", so genes are flat.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nasengine.architecture import Architecture, CellEdge, CellGenotype
from nasengine.errors import GenotypeError
from nasengine.protocols import SearchSpace, SupportsNamedGenes, SupportsSupernet
from nasengine.strategies.genes import genes_of

NO_EDGE = "(no edge)"
Gene = str | int | float | bool


def flat_genes(space: SearchSpace, architecture: Architecture) -> dict[str, Gene]:
    """Choices by place: as the space names them, or the operation on each edge of each kind of cell, or plain values.

    Edges that a cell leaves out are there, too, so that all architectures of a space have the same columns.
    """
    genotype = architecture.genotype
    if isinstance(space, SupportsNamedGenes):
        return dict(space.named_genes(architecture))
    if isinstance(space, SupportsSupernet) and isinstance(genotype, CellGenotype):
        chosen = {
            (kind, edge.source, edge.target): edge.operation for kind in genotype.kinds for edge in genotype.edges(kind)
        }
        places = [(kind, *edge) for kind in space.topology.kinds for edge in space.topology.edges]
        return {_name(*place): chosen.get(place, NO_EDGE) for place in places}
    return plain_genes(genotype)


def plain_genes(genotype: object) -> dict[str, Gene]:
    """Plain values of a genotype by their places.

    >>> plain_genes((("conv", 3), "pool"))
    {'gene 0.0': 'conv', 'gene 0.1': 3, 'gene 1': 'pool'}
    """
    return {
        f"gene {'.'.join(map(str, place))}": value if isinstance(value, (bool, int, float)) else str(value)
        for place, value in genes_of(genotype)
    }


def declared_choices(space: SearchSpace, seen: Iterable[Mapping[str, Gene]]) -> dict[str, Any]:
    """The search space as NNI states it; its page needs every value that occurs, or it leaves lines out.

    Args:
        space: where architectures come from.
        seen: parameters of the trials.
    """
    values: dict[str, dict[Gene, None]] = {}
    if isinstance(space, SupportsNamedGenes):
        values = {name: dict.fromkeys(known) for name, known in space.gene_choices.items()}
    elif isinstance(space, SupportsSupernet):
        topology = space.topology
        for kind in topology.kinds:
            for index, (source, target) in enumerate(topology.edges):
                known = [*topology.selectable(kind, index)]
                known += [NO_EDGE] if topology.num_kept(target) < target else []
                values[_name(kind, source, target)] = dict.fromkeys(known)
    for parameters in seen:
        for name, value in parameters.items():
            values.setdefault(name, {})[value] = None
    return {name: {"_type": "choice", "_value": list(known)} for name, known in values.items()}


def architecture_of(space: SearchSpace, genes: Mapping[str, object]) -> Architecture:
    """The architecture that has these genes; other entries do not matter.

    Raises:
        GenotypeError: a gene is missing, or they make no architecture of the space.
    """
    if isinstance(space, SupportsNamedGenes):
        return space.from_named_genes(genes)
    if not isinstance(space, SupportsSupernet):
        raise GenotypeError(f"space {space.name}: expected one whose genes name an architecture")
    topology = space.topology
    places = [(kind, source, target) for kind in topology.kinds for source, target in topology.edges]
    missing = [name for place in places if (name := _name(*place)) not in genes]
    if missing:
        raise GenotypeError(f"space {space.name}: expected the genes {', '.join(missing)}, got none")
    edges: dict[str, list[CellEdge]] = {kind: [] for kind in topology.kinds}
    for kind, source, target in places:
        operation = genes[_name(kind, source, target)]
        if operation != NO_EDGE:
            edges[kind].append(CellEdge(target, source, str(operation)))
    found = Architecture(space.name, CellGenotype.of(**edges))
    space.validate(found)
    return found


def _name(kind: str, source: int, target: int) -> str:
    return f"{kind} {source}-{target}"
