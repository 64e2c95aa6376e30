"""Genotypes of the MobileNet spaces: counts, notations, variation, and what is refused."""

import json
import random
from dataclasses import replace

import pytest

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError, GenotypeError
from nasengine.graph import fingerprint
from nasengine.strategies.genes import identity_of
from nasengine.testing import SearchSpaceContract, small_config
from search_spaces.mobilenet import MOBILENET, PROXYLESSNAS, InvertedResidual, MobileGenotype, Stage, stage_list
from tests.search_spaces.mutation_contract import MutationContract

TEXT = "r192:k3e6,k5e4/k7e3,k3e3/k3e3,k3e3,k5e6/k3e3,k3e3/k3e3,k3e3,k3e3,k7e6"
SKIPPING = "k3e6,k5e3,skip,skip/k3e3,k3e3,k3e3,k3e3/k3e3,k3e3,k3e3,k3e3/k3e3,k3e3,k3e3,k3e3/k3e3,skip,skip,k3e3/k7e6"
SMALL = PROXYLESSNAS.with_layout(
    replace(PROXYLESSNAS.layout, stages=stage_list((8, 16), (2, 1), (1, 2)), kernels=(3, 5))
)
"""4 x 5 x 4 genotypes."""


@pytest.mark.parametrize("found", [PROXYLESSNAS, MOBILENET, SMALL], ids=["proxylessnas", "mobilenet", "small"])
class TestSpaces(SearchSpaceContract, MutationContract):
    @pytest.fixture
    def space(self, found):
        return found

    def test_json_goes_both_ways(self, space):
        architecture = space.sample(random.Random(2))
        assert space.parse(space.to_json(architecture)) == architecture


def test_sizes():
    assert PROXYLESSNAS.size == 6**6 * 7**15
    assert MOBILENET.size == (9**2 + 9**3 + 9**4) ** 5 * 4
    rng = random.Random(0)
    assert len({SMALL.sample(rng) for _ in range(4000)}) == SMALL.size == 4 * 5 * 4


def test_mutations_reach_everything_and_change_one_thing():
    rng = random.Random(0)
    seen = {architecture := SMALL.sample(rng)}
    for _ in range(4000):
        child = SMALL.mutate(architecture, rng)
        pairs = [
            pair
            for s, t in zip(architecture.genotype.stages, child.genotype.stages, strict=True)
            for pair in zip(s, t, strict=True)
        ]
        assert sum(first != second for first, second in pairs) == 1
        seen.add(architecture := child)
    assert len(seen) == SMALL.size


def test_mutations_change_blocks_depth_or_resolution():
    rng, kinds = random.Random(0), set()
    for _ in range(300):
        before = MOBILENET.sample(rng)
        after = MOBILENET.mutate(before, rng)
        depths = [tuple(map(len, found.genotype.stages)) for found in (before, after)]
        changed = (depths[0] != depths[1], before.genotype.resolution != after.genotype.resolution)
        assert changed != (True, True)
        assert sum(abs(one - other) for one, other in zip(*depths, strict=True)) <= 1
        kinds.add(changed)
    assert len(kinds) == 3


def test_children_take_after_both_parents():
    rng = random.Random(0)
    first, second = MOBILENET.smallest(), MOBILENET.largest()
    child = MOBILENET.crossover(first, second, rng)
    assert {block.kernel for stage in child.genotype.stages for block in stage} == {3, 7}
    assert {len(stage) for stage in child.genotype.stages} == {2, 4}


def test_the_notation_says_what_the_genotype_is():
    genotype = MOBILENET.parse(TEXT).genotype
    assert genotype.resolution == 192
    assert genotype.stages[0] == (InvertedResidual(3, 6), InvertedResidual(5, 4))
    assert MOBILENET.parse(TEXT.removeprefix("r192:")).genotype.resolution == 224
    assert PROXYLESSNAS.parse(SKIPPING.replace(",", " , ")).genotype.stages[0][2:] == (None, None)


def test_settings_of_once_for_all_are_read():
    numbers = {"ks": [3, 5, 7, 7] * 5, "e": [6, 4, 3, 3.0] * 5, "d": [2, 3, 4, 2, 2], "r": [160]}
    found = MOBILENET.parse(json.dumps(numbers))
    assert MOBILENET.format(found) == "r160:k3e6,k5e4/k3e6,k5e4,k7e3/k3e6,k5e4,k7e3,k7e3/k3e6,k5e4/k3e6,k5e4"


def test_places_of_skipped_blocks_do_not_change_the_network():
    first, second = (PROXYLESSNAS.parse(SKIPPING.replace("k3e3,skip,skip,k3e3", text)) for text in
                     ("k3e3,skip,skip,k3e3", "k3e3,k3e3,skip,skip"))  # fmt: skip
    assert first != second
    assert identity_of(first) == identity_of(second) == second.genotype
    graphs = [PROXYLESSNAS.to_graph(found, small_config(PROXYLESSNAS)) for found in (first, second)]
    assert fingerprint(graphs[0]) == fingerprint(graphs[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "stage 0: expected a block such as k5e6, or skip, got ''"),
        ("k3e6", "expected 5 stages with / between them, got 1"),
        (TEXT.replace("r192", "r190"), "resolution: expected one of 128, 160, 192, 224, got 190"),
        (TEXT.replace("r192", "192"), "expected a resolution such as r192 before ':', got '192'"),
        (TEXT.replace("k5e4", "k9e4"), "stage 0, block 1: expected kernel 3, 5, 7 and expansion 3, 4, 6, got"),
        (TEXT.replace("k5e4", "k5e4.5"), "stage 0, block 1: expected kernel 3, 5, 7 and expansion 3, 4, 6, got"),
        (TEXT.replace("k5e4", "k5"), "stage 0: expected a block such as k5e6, or skip, got 'k5'"),
        (TEXT.replace("k5e4", "skip"), "stage 0, block 1: expected a block, got skip; list fewer blocks"),
        (TEXT.replace(",k5e4", ""), "stage 0: expected 2 to 4 blocks, got 1"),
        (TEXT + ",k3e3", "stage 4: expected 2 to 4 blocks, got 5"),
        ("k" * 10_001, "expected at most 10000 characters, got 10001"),
        ("{", "expected JSON such as"),
        ('{"stages": ' + "[" * 9000, "expected JSON such as"),
        ('{"stages": [3]}', "expected JSON such as"),
        ('{"stages": [[3]]}', "stage 0: expected a block such as k5e6, or skip, got '3'"),
        ('{"stages": [["k3e3"]], "depth": 3}', "expected JSON such as"),
        ('{"stages": [["k3e3"]], "resolution": [224]}', r"resolution: expected a whole number, got '\[224\]'"),
        ('{"ks": [3]}', r"ks: expected a list of 20 numbers, got '\[3\]'"),
        (json.dumps({"ks": [3] * 20, "e": [True] * 20, "d": [2] * 5}), "e: expected a list of 20 numbers, got"),
        (json.dumps({"ks": [3] * 20, "e": [3] * 20, "d": [2] * 4 + [9]}), "stage 4: expected 1 to 4 blocks, got 9"),
        (json.dumps({"ks": [3] * 20, "e": [3] * 20, "d": [1] * 5}), "stage 0: expected 2 to 4 blocks, got 1"),
        (json.dumps({"ks": [3] * 20, "e": [float("nan")] * 20, "d": [2] * 5}), "e: expected a list of 20 numbers, got"),
        (json.dumps({"ks": [10**400] * 20, "e": [3] * 20, "d": [2] * 5}), "ks: expected a list of 20 numbers, got"),
        (json.dumps({"ks": [9] * 20, "e": [3] * 20, "d": [2] * 5}), "stage 0, block 0: expected kernel"),
    ],
    ids=range(24),
)  # fmt: skip
def test_other_texts_are_refused(text, message):
    with pytest.raises(GenotypeError, match=f"^mobilenet genotype.*{message}"):
        MOBILENET.parse(text)


def test_first_blocks_cannot_be_skipped():
    with pytest.raises(
        GenotypeError, match="stage 5, block 0: expected a block, got skip; the first block sets the sh"
    ):
        PROXYLESSNAS.parse(SKIPPING.replace("/k7e6", "/skip"))
    with pytest.raises(GenotypeError, match="stage 4: expected 4 blocks, got 2"):
        PROXYLESSNAS.parse(SKIPPING.replace("k3e3,skip,skip,k3e3", "k3e3,k3e3"))


@pytest.mark.parametrize("genotype", [None, 3, ("k3e3",), MobileGenotype((), 224), MobileGenotype(((),) * 5, 224)],
                         ids=range(5))  # fmt: skip
def test_other_values_are_refused(genotype):
    with pytest.raises(GenotypeError, match="mobilenet genotype, "):
        MOBILENET.validate(Architecture("mobilenet", genotype))
    with pytest.raises(GenotypeError, match="space mobilenet: expected one of its architectures, got one of other"):
        MOBILENET.validate(Architecture("other", genotype))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": ()}, "stages: expected 1 to 16, got 0"),
        ({"stages": (Stage(24, 1),)}, "stage 0: expected 2 to 16 blocks, got 1"),
        ({"stages": (Stage(0),)}, "stage 0: expected 1 to 16384 channels, got 0"),
        ({"stages": (Stage(24, stride=3),)}, "stage 0: expected stride 1 or 2, got 3"),
        ({"kernels": (3, 4)}, r"kernels: expected odd ones, got \(3, 4\)"),
        ({"expansions": (6, 3)}, r"expansions: expected rising numbers from 1 to 16, got \(6, 3\)"),
        ({"resolutions": ()}, r"resolutions: expected rising numbers from 1 to 4096, got \(\)"),
        ({"min_blocks": 0}, "min_blocks: expected at least 1 or None, got 0"),
        ({"num_strides": 6}, "num_strides: expected 0 to 5, which the stem and stages have, got 6"),
    ],
    ids=range(9),
)  # fmt: skip
def test_layouts_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ConfigError, match=f"mobilenet layout, {message}"):
        replace(MOBILENET.layout, **change)


def test_stage_lists_have_one_length():
    with pytest.raises(
        ConfigError, match="expected as many channels, num_blocks and strides, got 2 channels, 1 num_bl"
    ):
        stage_list([24, 40], [4], [2, 1])
