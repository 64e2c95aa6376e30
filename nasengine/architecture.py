"""Architectures as values: what is logged, hashed, mutated and exported."""

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class CellEdge:
    """One chosen operation of a cell: it reads node ``source`` and adds to node ``target``.

    Nodes are numbered from 0, the inputs of the cell first.
    """

    target: int
    source: int
    operation: str


@dataclass(frozen=True, slots=True)
class CellGenotype:
    """The chosen edges of every kind of cell, each sorted by target, then source.

    >>> genotype = CellGenotype.of(cell=[CellEdge(target=1, source=0, operation="skip_connect")])
    >>> genotype.edges("cell")[0].operation
    'skip_connect'
    """

    cells: tuple[tuple[str, tuple[CellEdge, ...]], ...]

    @classmethod
    def of(cls, **edges_by_kind: list[CellEdge] | tuple[CellEdge, ...]) -> "CellGenotype":
        """Build a genotype in canonical order, so that equal choices are equal values."""
        return cls(tuple((kind, tuple(sorted(edges))) for kind, edges in edges_by_kind.items()))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the cell kinds, in the order of the search space."""
        return tuple(kind for kind, _ in self.cells)

    def edges(self, kind: str) -> tuple[CellEdge, ...]:
        """Edges of one kind of cell."""
        return dict(self.cells)[kind]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A genotype in its search space. ``genotype`` is any hashable value that the space understands."""

    space: str
    genotype: Hashable
