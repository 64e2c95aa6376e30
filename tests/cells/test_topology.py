"""Sampling, variation, counting and checking of genotypes, on a space small enough to list."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from nasengine.architecture import CellEdge, CellGenotype
from nasengine.cells import CellTopology
from nasengine.errors import GenotypeError
from search_spaces.darts import DARTS, S1, S2
from search_spaces.nasbench201 import NASBENCH201

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1")
SMALL = CellTopology(2, 2, {"cell": (OPERATIONS,) * 5}, inputs_per_node=2, search_only=frozenset({"none"}))


def test_size_is_the_number_of_genotypes_that_are_listed():
    listed = list(SMALL.enumerate())
    assert SMALL.size == len(listed) == len(set(listed)) == 2**2 * (3 * 2**2)
    for genotype in listed:
        SMALL.validate(genotype, "small")


def test_published_sizes():
    """DARTS, section 3.1: about 10^18; NAS-Bench-201: 15,625."""
    assert DARTS.size == (7**8 * 1 * 3 * 6 * 10) ** 2
    assert NASBENCH201.size == len(set(NASBENCH201.enumerate())) == 15_625


def test_sampling_is_uniform():
    rng = random.Random(0)
    counts = Counter(SMALL.sample(rng) for _ in range(4800))
    assert len(counts) == 48
    assert max(abs(count - 100) for count in counts.values()) < 45  # four standard deviations


def test_mutation_reaches_every_neighbour_and_changes_one_edge():
    genotype = SMALL.sample(random.Random(1))
    rng = random.Random(2)
    children = {SMALL.mutate(genotype, rng) for _ in range(500)}
    assert genotype not in children
    for child in children:
        assert len(set(child.edges("cell")) - set(genotype.edges("cell"))) == 1
    assert len(children) == 4 + 2  # four operations to change, two sources to exchange


def test_children_take_every_node_from_one_parent():
    rng = random.Random(0)
    first, second = SMALL.sample(rng), SMALL.sample(rng)
    for _ in range(20):
        child = SMALL.crossover(first, second, rng)
        for target in SMALL.targets:
            part = {edge for edge in child.edges("cell") if edge.target == target}
            assert any(part <= set(parent.edges("cell")) for parent in (first, second))


def test_mutation_keeps_to_the_candidates_of_each_edge():
    rng = random.Random(0)
    architecture = S1.sample(rng)
    candidates = S1.topology.candidates
    for _ in range(100):
        architecture = S1.mutate(architecture, rng)
        for kind in S1.topology.kinds:
            for edge in architecture.genotype.edges(kind):
                assert edge.operation in candidates[kind][S1.topology.edge_index(edge.source, edge.target)]


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([(2, 0, "skip_connect"), (2, 0, "nor_conv_1x1")], r"node 2: expected 2 different inputs, got \[0, 0\]"),
        ([(2, 0, "skip_connect")], r"node 2: expected 2 different inputs, got \[0\]"),
        ([(2, 0, "none"), (2, 1, "skip_connect")], "edge 0->2: expected one of skip_connect, nor_conv_1x1, got 'none'"),
        ([(2, 3, "skip_connect"), (2, 1, "skip_connect")], "edge 3->2: expected an edge into node 2 to 3"),
        ([(9, 3, "skip_connect")], "edge 3->9: expected an edge into node 2 to 3"),
    ],
)
def test_wrong_genotypes_are_named(edges, message):
    genotype = CellGenotype.of(cell=[CellEdge(*edge) for edge in edges])
    with pytest.raises(GenotypeError, match=message):
        SMALL.validate(genotype, "small")


def test_wrong_cells_are_named():
    with pytest.raises(GenotypeError, match="small: expected cells cell, got normal"):
        SMALL.validate(CellGenotype.of(normal=[]), "small")


def test_parts_of_a_space_keep_to_their_candidates():
    allowed = {("cell", index): tuple(range(len(names))) for index, names in enumerate(SMALL.candidates["cell"])}
    part = replace(SMALL, allowed={**allowed, ("cell", 0): (1,)})
    other = replace(SMALL, allowed={**allowed, ("cell", 0): (2,)})
    rng = random.Random(0)
    whole = set(SMALL.enumerate())
    assert set(part.enumerate()) | set(other.enumerate()) == whole
    assert len(set(part.enumerate())) == part.size
    genotype = part.sample(rng)
    for _ in range(50):
        part.validate(genotype, "part")
        genotype = part.mutate(genotype, rng)


def test_the_only_architecture_of_a_part_has_no_neighbour():
    single = replace(S2, topology=replace(S2.topology, inputs_per_node=None))
    allowed = {(kind, edge): (0,) for kind in ("normal", "reduce") for edge in range(14)}
    part = single.restrict(allowed)
    assert part.size == 1
    architecture = part.sample(random.Random(0))
    assert part.mutate(architecture, random.Random(0)) == architecture
