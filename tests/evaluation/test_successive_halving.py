"""The better network wins, and the race resumes."""

import copy

import torch

from nasengine.data.digits import load
from nasengine.evaluation import NetworkTraining, SuccessiveHalving
from nasengine.network import GraphNetwork
from nasengine.protocols import NetworkConfig, TrainingRecipe
from search_spaces.nasbench201 import NASBENCH201

GENOTYPES = (
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    "|avg_pool_3x3~0|+|none~0|none~1|+|none~0|none~1|avg_pool_3x3~2|",
)


def make() -> SuccessiveHalving:
    digits = load()
    recipe = TrainingRecipe(epochs=SuccessiveHalving.total_epochs(3, 2), batch_size=64, learning_rate=0.1)
    trainings = []
    for genotype in GENOTYPES:
        graph = NASBENCH201.to_graph(NASBENCH201.parse(genotype), NetworkConfig(10, (1, 8, 8), 4, 1))
        trainings.append(NetworkTraining("x", GraphNetwork(graph, 0), digits, recipe, seed=0, split=digits.train))
    return SuccessiveHalving(trainings, epochs=2)


def test_the_better_network_wins_and_the_race_resumes_bit_for_bit():
    whole = make()
    assert whole.num_steps == 3 * 2 + 2 * 2
    for step in range(7):
        whole.run_step(step)
    middle = copy.deepcopy(whole.state())
    for step in range(7, whole.num_steps):
        whole.run_step(step)
    assert whole.winner() == 1
    assert [len(measured) for measured in whole.rounds] == [3, 2]
    other = make()
    other.load_state(middle)
    for step in range(7, other.num_steps):
        other.run_step(step)
    assert other.rounds == whole.rounds
    expected = whole.state().tensors
    assert all(torch.equal(value, expected[name]) for name, value in other.state().tensors.items())


def test_a_single_network_needs_no_race():
    race = SuccessiveHalving(make().trainings[:1], epochs=2)
    assert race.num_steps == 0
    assert race.winner() == 0
