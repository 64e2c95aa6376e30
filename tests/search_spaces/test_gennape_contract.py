"""What HiAML, Two-Path and Inception have in common."""

import itertools

import pytest

from nasengine.architecture import Architecture
from nasengine.errors import GenotypeError
from nasengine.testing import SearchSpaceContract
from search_spaces.hiaml import HIAML
from search_spaces.inception import INCEPTION
from search_spaces.operation_sequences import OperationSequences
from search_spaces.two_path import TWO_PATH
from tests.search_spaces.mutation_contract import MutationContract


@pytest.mark.parametrize("found", [HIAML, TWO_PATH, INCEPTION], ids=lambda space: space.name)
class TestSpaces(SearchSpaceContract, MutationContract):
    @pytest.fixture
    def space(self, found):
        return found

    def test_texts_that_are_too_long_are_refused(self, space):
        with pytest.raises(GenotypeError, match=f"{space.name} genotype: expected at most 10000 characters, got 10001"):
            space.parse("+" * 10_001)

    def test_architectures_of_other_spaces_are_refused(self, space):
        with pytest.raises(GenotypeError, match=f"space {space.name}: expected one of its architectures"):
            space.validate(Architecture("other", ()))


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_sequences_are_counted_right(length):
    rule = OperationSequences(main=("a", "b"), supporting=("x", "y", "z"))
    listed = [found for found in itertools.product("abxyz", repeat=length) if rule.fault(found) is None]
    assert rule.count(length) == len(listed)


def test_neighbours_differ_in_one_operation():
    rule = OperationSequences(main=("a", "b"), supporting=("x",))
    assert sorted(rule.neighbours(("a",))) == sorted([("b",), *((*"aa",), (*"ab",), (*"ba",), (*"ax",), (*"xa",))])
    assert ("x",) not in rule.neighbours(("a", "x"))
