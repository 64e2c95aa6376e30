"""Similarity of genotypes of every space, against Hamming distances computed here."""

import itertools
import random

import pytest

from nasengine import registry
from nasengine.strategies.genes import GeneTable, genes_of, identity_of
from search_spaces.nasbench101 import NASBENCH101
from search_spaces.nasbench201 import NASBENCH201
from search_spaces.nasbench_macro import NASBENCH_MACRO


def table_of(genotypes):
    table = GeneTable()
    for genotype in genotypes:
        table.add(genotype)
    return table


@pytest.mark.parametrize(
    ("space", "genes"),
    [
        (NASBENCH_MACRO, lambda genotype: genotype),
        (NASBENCH201, lambda genotype: [edge.operation for edge in genotype.edges("cell")]),
    ],
    ids=["nasbench_macro", "nasbench201"],
)
def test_similarity_is_one_minus_the_share_of_genes_that_differ(space, genes):
    rng = random.Random(0)
    genotypes = [space.sample(rng).genotype for _ in range(100)]  # makes room several times
    table, asked = table_of(genotypes), space.sample(rng).genotype
    for found, genotype in zip(table.similarities(asked), genotypes, strict=True):
        pairs = list(zip(genes(asked), genes(genotype), strict=True))
        assert found == pytest.approx(sum(left == right for left, right in pairs) / len(pairs))


def test_mean_similarity_counts_every_pair():
    genotypes = [("a", "a"), ("a", "b"), ("b", "b")]
    expected = [sum(map(str.__eq__, *pair)) / 2 for pair in itertools.product(genotypes, repeat=2)]
    assert table_of(genotypes).mean_similarity([0, 1, 2]) == pytest.approx(sum(expected) / 9)


def test_genes_that_only_one_has_are_differences_and_those_that_none_has_do_not_count():
    table = table_of([("a",), ("a", "b", "c"), ("b", "b")])
    assert table.similarities(("a",)).tolist() == pytest.approx([1.0, 1 / 3, 0.0])
    assert table.similarities(("a", "b", "c", "d")).tolist() == pytest.approx([1 / 4, 3 / 4, 1 / 4])


@pytest.mark.parametrize("name", registry.names("search space"))
def test_mutations_are_more_similar_than_strangers_in_every_space(name):
    space, rng = registry.load("search space", name), random.Random(1)
    parents = [space.sample(rng) for _ in range(30)]
    table = table_of(map(identity_of, parents))
    own, others = [], []
    for index, parent in enumerate(parents):
        similarities = table.similarities(identity_of(space.mutate(parent, rng))).tolist()
        own.append(similarities.pop(index))
        others += similarities
    assert sum(own) / len(own) > sum(others) / len(others) + 0.15


def test_isomorphs_have_one_identity():
    left, right = "conv3x3-bn-relu,maxpool3x3:0-1,0-2,1-3,2-3", "maxpool3x3,conv3x3-bn-relu:0-1,0-2,1-3,2-3"
    first, second = NASBENCH101.parse(left), NASBENCH101.parse(right)
    assert first != second
    assert identity_of(first) == identity_of(second)


def test_sets_are_genes_too():
    assert dict(genes_of((frozenset({2, 1}), 3))) == {(0, "1"): True, (0, "2"): True, (1,): 3}
