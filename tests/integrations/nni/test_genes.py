"""Genes are read back as the architecture that they name."""

import random

import pytest

from nasengine import registry
from nasengine.errors import GenotypeError
from nasengine.integrations.nni.genes import NO_EDGE, architecture_of, declared_choices, flat_genes


@pytest.mark.parametrize("name", ["darts", "darts_s2", "nasbench201", "mobilenet"])
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
    with pytest.raises(GenotypeError, match="expected one whose genes name"):
        architecture_of(registry.load("search space", "hiaml"), {})


def test_columns_of_an_elastic_space_are_its_blocks():
    space = registry.load("search space", "mobilenet")
    text = "r160:k3e3,k5e4/k7e6,k3e3,k3e3/k3e3,k3e3/k3e3,k3e3,k3e3,k5e6/k3e3,k3e3"
    genes = flat_genes(space, space.parse(text))
    assert (genes["stage 0 block 1"], genes["stage 0 block 2"], genes["stage 3 block 3"]) == ("k5e4", "skip", "k5e6")
    assert genes["resolution"] == 160
    assert set(genes) == set(declared_choices(space, []))
    assert all(value in space.gene_choices[name] for name, value in genes.items())


@pytest.mark.parametrize(("name", "value", "wanted"), [
    ("resolution", 161, "resolution: expected one of 128, 160, 192, 224, got 161"),
    ("resolution", "large", "resolution: expected a number of pixels"),
    ("stage 0 block 1", "k9e9", "stage 0, block 1: expected kernel"),
    ("stage 0 block 1", "skip", "stage 0: expected 2 to 4 blocks, got 1"),
    ("stage 0 block 1", "a" * 5000, "stage 0 block 1: expected a block such as k5e6, or skip, got 'aaa"),
])  # fmt: skip
def test_genes_of_an_elastic_space_are_checked(name, value, wanted):
    space = registry.load("search space", "mobilenet")
    genes = flat_genes(space, space.smallest())
    with pytest.raises(GenotypeError, match=wanted):
        architecture_of(space, {**genes, name: value})
    with pytest.raises(GenotypeError, match=f"expected the genes {name}, got none"):
        architecture_of(space, {key: gene for key, gene in genes.items() if key != name})
