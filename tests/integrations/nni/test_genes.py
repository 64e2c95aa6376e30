"""Genes are read back as the architecture that they name."""

import random

import pytest

from nasengine import registry
from nasengine.errors import GenotypeError
from nasengine.integrations.nni.genes import NO_EDGE, architecture_of, flat_genes


@pytest.mark.parametrize("name", ["darts", "darts_s2", "nasbench201"])
def test_genes_give_back_the_architecture(name):
    space, rng = registry.load("search space", name), random.Random(1)
    for _ in range(50):
        architecture = space.sample(rng)
        genes = flat_genes(space, architecture)
        assert architecture_of(space, {"stage": "trial", **dict(sorted(genes.items()))}) == architecture


def test_genes_that_name_no_architecture_are_refused():
    space = registry.load("search space", "darts")
    genes = flat_genes(space, space.sample(random.Random(0)))
    with pytest.raises(GenotypeError, match="expected the genes normal 0-2, got none"):
        architecture_of(space, {name: value for name, value in genes.items() if name != "normal 0-2"})
    with pytest.raises(GenotypeError, match="different inputs, got"):
        architecture_of(space, dict.fromkeys(genes, NO_EDGE))
    with pytest.raises(GenotypeError, match="expected one of .* got 'x'"):
        architecture_of(space, dict.fromkeys(genes, "x"))


def test_spaces_without_cells_have_no_such_genes():
    with pytest.raises(GenotypeError, match="expected one of cells"):
        architecture_of(registry.load("search space", "hiaml"), {})
