"""Genotypes of any space as genes: what similarity between architectures is measured on."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import fields, is_dataclass

import numpy

from nasengine.architecture import Architecture
from nasengine.protocols import SupportsCanonicalForm

_FIRST_SIZE = 64
_ABSENT, _UNKNOWN = 0, -1

Place = tuple[str | int, ...]


def identity_of(architecture: Architecture) -> Hashable:
    """One value for all genotypes that mean the same network, as far as the genotype itself knows.

    >>> identity_of(Architecture("space", ("a", "b")))
    ('a', 'b')
    """
    genotype = architecture.genotype
    return genotype.canonical() if isinstance(genotype, SupportsCanonicalForm) else genotype


def genes_of(genotype: object, place: Place = ()) -> Iterator[tuple[Place, Hashable]]:
    """Walk through nested tuples and frozen dataclasses down to the plain values, each with its place.

    >>> list(genes_of((("conv", 3), "pool")))
    [((0, 0), 'conv'), ((0, 1), 3), ((1,), 'pool')]
    """
    if is_dataclass(genotype):
        for entry in fields(genotype):
            yield from genes_of(getattr(genotype, entry.name), (*place, entry.name))
    elif isinstance(genotype, tuple):
        for index, part in enumerate(genotype):
            yield from genes_of(part, (*place, index))
    elif isinstance(genotype, frozenset):
        yield from ((((*place, repr(part)), True)) for part in sorted(genotype, key=repr))
    elif isinstance(genotype, Hashable):
        yield place, genotype


class GeneTable:
    """Genotypes as rows of whole numbers, so that one is compared with all others in one step.

    A gene is a place in the genotype. Places whose value has never varied say nothing and do not count; a place that
    only one of two genotypes has counts as a difference. With genes in fixed places this is 1 minus the normalised
    Hamming distance.

    >>> table = GeneTable()
    >>> for genotype in ["ab", "aa", "bb"]:
    ...     table.add(tuple(genotype))
    >>> table.similarities(("a", "b")).tolist()
    [1.0, 0.5, 0.5]
    """

    def __init__(self) -> None:
        self._columns: dict[Place, int] = {}
        self._codes: dict[tuple[Place, Hashable], int] = {}
        self._rows = numpy.zeros((_FIRST_SIZE, _FIRST_SIZE), numpy.int32)
        self._varies = numpy.zeros(_FIRST_SIZE, bool)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def rows(self) -> numpy.ndarray:
        """Codes of all genotypes; 0 is a gene that a genotype does not have, (num_rows, num_genes)."""
        return self._rows[: self._size, : len(self._columns)]

    @property
    def num_varying(self) -> int:
        """Genes that differ between rows."""
        return int(self._varies.sum())

    def add(self, genotype: Hashable) -> None:
        """Append a genotype."""
        genes = list(genes_of(genotype))
        for place, value in genes:
            self._columns.setdefault(place, len(self._columns))
            self._codes.setdefault((place, value), len(self._codes) + 1)
        self._make_room()
        row = self._encoded(genes)
        if self._size:
            self._varies[: len(row)] |= row != self.rows[0]
        self._rows[self._size, : len(row)] = row
        self._size += 1

    def similarities(self, genotype: Hashable) -> numpy.ndarray:
        """Similarity of a genotype to each row, 1 where they are equal, (num_rows,)."""
        genes = list(genes_of(genotype))
        num_new = sum(place not in self._columns for place, _ in genes)
        return self._similarities(self._encoded(genes), num_new)

    def mean_similarity(self, indices: Sequence[int]) -> float:
        """Mean similarity of all pairs among some rows, a row and itself included."""
        rows = self.rows[indices][:, self._varies[: len(self._columns)]]
        differs = rows[:, None] != rows
        present = (rows[:, None] != _ABSENT) | (rows != _ABSENT)
        return float(1.0 - (differs.sum(axis=2) / numpy.maximum(present.sum(axis=2), 1)).mean())

    def _similarities(self, row: numpy.ndarray, num_new: int = 0) -> numpy.ndarray:
        rows = self.rows
        differs = rows != row
        counted = self._varies[: len(row)] | differs.any(axis=0)
        present = ((rows != _ABSENT) | (row != _ABSENT)) & counted
        return 1.0 - (differs.sum(axis=1) + num_new) / numpy.maximum(present.sum(axis=1) + num_new, 1)

    def _encoded(self, genes: list[tuple[Place, Hashable]]) -> numpy.ndarray:
        row = numpy.full(len(self._columns), _ABSENT, numpy.int32)
        for place, value in genes:
            if place in self._columns:
                row[self._columns[place]] = self._codes.get((place, value), _UNKNOWN)
        return row

    def _make_room(self) -> None:
        height, width = self._rows.shape
        more_rows = height if self._size == height else 0
        more_columns = max(width, len(self._columns) - width) if len(self._columns) > width else 0
        if more_rows or more_columns:
            self._rows = numpy.pad(self._rows, ((0, more_rows), (0, more_columns)))
            self._varies = numpy.pad(self._varies, (0, more_columns))
