"""Parts of elastic spaces: what splits make of them."""

import itertools
import random
from dataclasses import replace

import pytest

from nasengine.errors import GenotypeError
from nasengine.splittable_space import SplittableElasticSpace
from nasengine.supernet.splitting import Partition
from search_spaces.mobilenet import MOBILENET, PROXYLESSNAS, Stage

STAGES = (Stage(16, 3, 2, "relu"), Stage(32, 4, 2, "hard_swish", squeezes=True))


def of_depth(min_blocks):
    return MOBILENET.with_layout(replace(MOBILENET.layout, stages=STAGES, min_blocks=min_blocks))


SPACES = {"once-for-all": MOBILENET, "short": of_depth(1), "fixed": of_depth(3), "skips": of_depth(None)}


def random_parts(space, rng, levels=5):
    """Divide one part after the other at a random layer into two random groups."""
    parts = [space]
    for _ in range(levels):
        part = parts.pop(rng.randrange(len(parts)))
        allowed = part.allowed
        key = rng.choice([key for key, picks in allowed.items() if len(picks) > 1])
        picks = rng.sample(allowed[key], len(allowed[key]))
        middle = rng.randrange(1, len(picks))
        masks = Partition(key, (tuple(sorted(picks[:middle])), tuple(sorted(picks[middle:])))).masks(allowed)
        parts += [part.restrict(mask) for mask in masks]
    return parts


def holds(part, selection):
    allowed = part.allowed
    return all(pick in allowed[key] for key, picks in selection.items() for pick in picks)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("seed", range(3))
def test_parts_cover_the_space_and_have_nothing_in_common(name, seed):
    space = SPACES[name]
    parts = random_parts(space, random.Random(seed))
    assert sum(part.size for part in parts) == space.size
    rng = random.Random(1)
    for architecture in (space.largest(), space.smallest(), *(space.sample(rng) for _ in range(40))):
        assert sum(holds(part, space.selection(architecture)) for part in parts) == 1


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_part_proposes_is_in_it(name, seed):
    rng = random.Random(seed)
    for part in random_parts(SPACES[name], rng):
        choices = part.elastic_choices
        subsets = [found for count in range(len(choices) + 1) for found in itertools.combinations(choices, count)]
        made = [part.sample(rng), part.largest(), part.smallest(), *map(part.shrunk, subsets)]
        made += [part.sample_within(subset, rng) for subset in subsets]
        made += [part.crossover(made[0], made[-1], rng)] + [part.mutate(one, rng) for one in made if part.size > 4]
        for architecture in made:
            part.validate(architecture)
            assert holds(part, SPACES[name].selection(architecture))
            assert part.parse(part.format(architecture)) == architecture


@pytest.mark.parametrize("name", SPACES)
def test_the_whole_as_a_part_has_the_same_corners(name):
    space = SPACES[name]
    part = space.restrict(space.allowed)
    for choice in (*space.elastic_choices, None):
        choices = () if choice is None else (choice,)
        assert part.shrunk(choices) == space.shrunk(choices)
    assert (part.smallest(), part.largest(), part.size) == (space.smallest(), space.largest(), space.size)


@pytest.mark.parametrize("name", SPACES)
def test_candidates_of_a_layer_are_put_among_the_same_others(name):
    space, rng = SPACES[name], random.Random(0)
    for key, layer in space.layers.items():
        subnet = space.sample(rng)
        found = [space.selection(space.placed(subnet, key, pick)) for pick in range(len(layer.candidates))]
        assert [one[key] for one in found] == [(pick,) for pick in range(len(layer.candidates))]
        assert len({tuple(picks for other, picks in one.items() if other != key) for one in found}) == 1


def test_layers_are_places_whose_nodes_have_their_prefix():
    space = SPACES["short"]
    assert isinstance(space, SplittableElasticSpace)
    assert not isinstance(PROXYLESSNAS, SplittableElasticSpace)
    layers = list(space.layers.values())
    assert [layer.prefix for layer in layers[2:5]] == ["stages/0/blocks/2", "stages/1/blocks/0", "stages/1/blocks/1"]
    assert [len(layer.candidates) for layer in layers] == [9, 10, 10, 9, 10, 10, 10]
    assert (layers[0].candidates[0], layers[1].candidates[-2:]) == ("k3e3", ("k7e6", "skip"))
    names = space.to_graph(space.largest(), replace(space.defaults, image_shape=(1, 16, 16))).names
    assert all(any(name.startswith(f"{layer.prefix}/") for name in names) for layer in layers)


def test_a_block_that_must_be_there_needs_those_before_it_and_one_that_is_not_ends_the_stage():
    space = SPACES["short"]
    whole, last = space.allowed, ("layer", 6)
    deep = space.restrict({**whole, last: (0, 1)})
    assert [9 in deep.allowed["layer", layer] for layer in (4, 5, 6)] == [False] * 3
    assert {len(deep.sample(random.Random(seed)).genotype.stages[1]) for seed in range(9)} == {4}
    shallow = space.restrict({**whole, ("layer", 4): (9,)})
    assert [shallow.allowed["layer", layer] for layer in (4, 5, 6)] == [(9,)] * 3
    assert len(shallow.largest().genotype.stages[1]) == 1
    with pytest.raises(GenotypeError, match="stage 1: expected 1 blocks, got 4"):
        shallow.validate(space.largest())
    with pytest.raises(GenotypeError, match="stage 1, block 3: expected one of k3e3, k3e4, got k7e6"):
        deep.validate(space.largest())
