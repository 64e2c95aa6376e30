"""What all cell-based search spaces have in common: the graph of a cell, genotypes on it, and networks of cells."""

from nasengine.cells.cell_space import CellSpace, Notation, genotype_of
from nasengine.cells.topology import CellTopology

__all__ = ["CellSpace", "CellTopology", "Notation", "genotype_of"]
