"""What all strategies that remember do: nothing is proposed twice, and tiny spaces end well."""

import random

import pytest

from nasengine.gene_space import GeneSpace
from nasengine.protocols import Evaluation
from nasengine.strategies import FuzzyEvolution, ParetoEvolution
from nasengine.strategies.unseen import SeenArchitectures
from predictors.guided import pareto_guided, predictor_guided
from search_spaces.nasbench_macro import NASBENCH_MACRO

REMEMBERING = [FuzzyEvolution, ParetoEvolution, predictor_guided, pareto_guided]
TINY = GeneSpace(
    name="tiny",
    title="the first three layers of NAS-Bench-Macro",
    paper="none",
    choices=(("0", "1", "2"),) * 3,
    to_graph_of=lambda genes, config: NASBENCH_MACRO.to_graph(NASBENCH_MACRO.parse("".join(genes) + "00000"), config),
    defaults=NASBENCH_MACRO.defaults,
    separator="",
)


def evaluation_of(architecture):
    return Evaluation(architecture, {"accuracy": sum(map(int, architecture.genotype)) / 10})


@pytest.mark.parametrize("make", REMEMBERING)
def test_a_tiny_space_is_searched_whole_without_repetition_and_then_goes_on(make):
    strategy, proposed = make(TINY, random.Random(0)), []
    for _ in range(TINY.size + 3):
        (found,) = strategy.ask(1)
        proposed.append(found)
        strategy.tell([evaluation_of(found)])
    assert len(set(proposed[: TINY.size])) == TINY.size
    assert len(proposed) == TINY.size + 3


@pytest.mark.parametrize("make", REMEMBERING)
def test_batches_and_failures_are_not_proposed_again(make):
    strategy, proposed = make(TINY, random.Random(1)), []
    for number in range(3):
        batch = strategy.ask(8)
        proposed += batch
        results = [evaluation_of(found) for found in batch]
        strategy.tell([Evaluation(one.architecture, {}, failure="lost") if number == 1 else one for one in results])
    assert len(set(proposed)) == 24


def test_other_identities_make_isomorphs_one():
    seen = SeenArchitectures(TINY, random.Random(0), identity=lambda found: tuple(sorted(found.genotype)))
    seen.add(TINY.parse("012"))
    assert TINY.parse("210") in seen
    assert TINY.parse("211") not in seen
    assert seen.first_unseen(lambda: TINY.parse("102")) not in seen
