"""NNI's own tuners, without its server."""

import random

import pytest

from nasengine import registry
from nasengine.errors import ConfigError
from nasengine.integrations.nni.own_tuners import OwnTuner, choices_of, decoded
from nasengine.protocols import Evaluation
from search_spaces.nasbench201 import NASBENCH201

pytest.importorskip("nni.algorithms.hpo.tpe_tuner", reason="NNI has no wheel for this machine")
TUNERS = ["TPE", "Evolution", "Random"]


def tried(name: str, seed: int, count: int, space=NASBENCH201) -> list:
    """A search for as many 3x3 convolutions as possible; every fifth trial fails."""
    strategy, found = OwnTuner(space, name, seed), []
    for number in range(count):
        (architecture,) = strategy.ask(1)
        value = str(architecture.genotype).count("nor_conv_3x3") / 6
        failure = "it broke" if number % 5 == 4 else None
        strategy.tell([Evaluation(architecture, {} if failure else {"accuracy": value}, failure)])
        found.append(architecture)
    return found


@pytest.mark.parametrize("name", TUNERS)
def test_proposals_depend_on_the_seed_alone(name):
    first = tried(name, 3, 60)
    assert first == tried(name, 3, 60)
    assert first != tried(name, 4, 60)


def test_evolution_learns_from_results():
    found = [str(architecture.genotype).count("nor_conv_3x3") for architecture in tried("Evolution", 0, 150)]
    assert sum(found[100:]) / 50 > sum(found[:30]) / 30 + 1


def test_tpe_is_told_results():
    """Its first twenty proposals are random, those after them depend on what it was told."""
    sequences = []
    for sign in (1, -1):
        strategy, found = OwnTuner(NASBENCH201, "TPE", 0), []
        for _ in range(40):
            found += strategy.ask(1)
            value = str(found[-1].genotype).count("nor_conv_3x3") / 6
            strategy.tell([Evaluation(found[-1], {"accuracy": 0.5 + sign * value / 2})])
        sequences.append(found)
    assert sequences[0][:20] == sequences[1][:20]
    assert sequences[0][20:] != sequences[1][20:]


@pytest.mark.parametrize("name", ["darts", "nasbench201", "mobilenet"])
def test_any_choices_make_an_architecture(name):
    space, rng = registry.load("search space", name), random.Random(0)
    choices, seen = choices_of(space), set()
    for _ in range(300):
        found = decoded(space, {key: rng.choice(entry["_value"]) for key, entry in choices.items()})
        space.validate(found)
        seen.add(found)
    assert len(seen) > 280


def test_edges_that_are_left_out_do_not_matter():
    space = registry.load("search space", "darts")
    choices = {name: entry["_value"][0] for name, entry in choices_of(space).items()}
    assert choices["normal inputs of 4"] == "0 1"
    changed = {**choices, "normal 3-4": choices_of(space)["normal 3-4"]["_value"][1]}
    assert decoded(space, changed) == decoded(space, choices)


def test_a_space_that_is_used_up_is_named():
    operations = {("cell", index): (0,) if index else (0, 1) for index in range(6)}
    with pytest.raises(ConfigError, match="expected an architecture that it has not proposed yet, got none after 2"):
        tried("Random", 0, 3, NASBENCH201.restrict(operations))
