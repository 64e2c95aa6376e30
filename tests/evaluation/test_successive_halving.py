"""The better network wins, and the race resumes."""

import copy
import math

import pytest
import torch

from nasengine.data.digits import load
from nasengine.errors import TrainingError
from nasengine.evaluation import Contender, Measurement, NetworkTraining, RoundLengths, SuccessiveHalving
from nasengine.network import GraphNetwork
from nasengine.protocols import NetworkConfig, TrainingRecipe
from search_spaces.nasbench201 import NASBENCH201

GENOTYPES = (
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    "|avg_pool_3x3~0|+|none~0|none~1|+|none~0|none~1|avg_pool_3x3~2|",
)
LENGTHS = RoundLengths(3, epochs=2)


def make() -> SuccessiveHalving:
    digits = load()
    recipe = TrainingRecipe(epochs=LENGTHS.total_epochs, batch_size=64, learning_rate=0.1)
    contenders = []
    for index, genotype in enumerate(GENOTYPES):
        graph = NASBENCH201.to_graph(NASBENCH201.parse(genotype), NetworkConfig(10, (1, 8, 8), 4, 1))
        network = GraphNetwork(graph, 0)
        training = NetworkTraining("x", network, digits, recipe, seed=0, split=digits.train)
        # An epoch stands for inherited weights.
        contenders.append(Contender(index, training, LENGTHS, lambda training=training: training.run_step(0)))
    return SuccessiveHalving(contenders)


def run_round(race: SuccessiveHalving) -> None:
    """All that networks do until the end of a round."""
    for contender in [race.contenders[index] for index in race.alive]:
        for step in range(contender.num_done, LENGTHS.steps_until(len(race.rounds))):
            contender.run_step(step)


def break_network(contender: Contender) -> None:
    for weight in contender.training.network.parameters():
        weight.data.fill_(math.nan)


def test_rounds_take_as_long_as_their_rule_says():
    assert [RoundLengths(count, 1).num_rounds for count in (1, 2, 3, 4, 5, 8, 9)] == [0, 1, 2, 2, 3, 3, 4]
    lengths = RoundLengths(6, epochs=20, first_epochs=5)
    assert [lengths.epochs_until(number) for number in range(3)] == [5, 25, 45]
    assert lengths.total_epochs == 45
    assert [lengths.steps_until(number) for number in range(3)] == [1 + 5 + 1, 1 + 25 + 2, 1 + 45 + 3]
    assert [RoundLengths(4, 2).is_trained_in(number) for number in range(2)] == [False, True]
    assert make().contenders[0].num_steps == LENGTHS.steps_until(1) == 5


def test_the_better_network_wins_and_the_race_resumes_bit_for_bit():
    whole, other = make(), make()
    run_round(whole)
    whole.end_round()
    middle = [copy.deepcopy(part.state()) for part in whole.contenders]
    run_round(whole)
    whole.end_round()
    assert whole.winner() == 1
    assert [len(measured) for measured in whole.rounds] == [3, 2]
    for part, state in zip(other.contenders, middle, strict=True):
        part.load_state(state)
    other.end_round()
    run_round(other)
    other.end_round()
    assert other.rounds == whole.rounds
    for part, expected in zip(other.contenders, whole.contenders, strict=True):
        found = part.state().tensors
        assert all(torch.equal(value, found[name]) for name, value in expected.state().tensors.items())


def test_a_single_network_needs_no_race():
    lengths = RoundLengths(1, epochs=2)
    race = SuccessiveHalving([Contender(0, make().contenders[0].training, lengths, lambda: None)])
    assert lengths.num_rounds == 0
    assert race.winner() == 0


def test_a_network_that_diverges_leaves_the_race():
    race = make()
    run_round(race)
    race.end_round()
    assert 1 in race.alive
    broken = race.contenders[1]
    break_network(broken)
    metrics = [broken.run_step(step) for step in range(2, broken.num_steps)]
    run_round(race)
    race.end_round()
    assert race.winner() != 1
    assert "expected a finite loss, got nan" in metrics[0]["failure"]
    assert metrics[1:] == [{"network": 1}] * 2
    assert 1 not in race.rounds[1]
    again = make().contenders[1]
    again.load_state(broken.state())
    assert (again.failure, again.measured, again.num_done) == (broken.failure, broken.measured, 5)


def test_a_race_in_which_all_diverge_is_an_error():
    race = make()
    for part in race.contenders:
        part.run_step(0)
        break_network(part)
    run_round(race)  # nothing is trained in it: what is measured shows it
    with pytest.raises(TrainingError, match="all networks of the last round .* expected a finite validation loss"):
        race.end_round()


def test_the_smaller_loss_is_ahead_and_of_equal_ones_the_larger_accuracy():
    race = make()
    measured = {0: [(0.5, 1.0), (0.5, 0.7)], 1: [(0.4, 0.9), (0.6, 0.7)], 2: [(0.6, 1.1)]}
    for part in race.contenders:
        part.measured = [Measurement(*values) for values in measured[part.index]]
    race.end_round()
    assert race.alive == [0, 1]
    race.end_round()
    assert race.winner() == 1
    assert race.last_measurements() == {0: Measurement(0.5, 0.7), 1: Measurement(0.6, 0.7), 2: Measurement(0.6, 1.1)}
