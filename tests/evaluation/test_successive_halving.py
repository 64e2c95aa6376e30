"""The better network wins, and the race resumes."""

import copy

import pytest
import torch

from nasengine.data.digits import load
from nasengine.errors import TrainingError
from nasengine.evaluation import NetworkTraining, SuccessiveHalving, measure
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
        network = GraphNetwork(graph, 0)
        training = NetworkTraining("x", network, digits, recipe, seed=0, split=digits.train)
        training.run_step(0)  # stands for inherited weights
        trainings.append(training)
    return SuccessiveHalving(trainings, epochs=2)


def test_the_better_network_wins_and_the_race_resumes_bit_for_bit():
    whole = make()
    assert whole.num_steps == 1 + 2 * 2 + 1
    for step in range(3):
        whole.run_step(step)
    middle = copy.deepcopy(whole.state())
    for step in range(3, whole.num_steps):
        whole.run_step(step)
    assert whole.winner() == 1
    assert [len(measured) for measured in whole.rounds] == [3, 2]
    other = make()
    other.load_state(middle)
    for step in range(3, other.num_steps):
        other.run_step(step)
    assert other.rounds == whole.rounds
    expected = whole.state().tensors
    assert all(torch.equal(value, expected[name]) for name, value in other.state().tensors.items())


def test_networks_that_are_not_trained_are_measured_once(monkeypatch):
    measured = []

    def counted(network, *rest):
        measured.append(network)
        return measure(network, *rest)

    monkeypatch.setattr("nasengine.evaluation.successive_halving.measure", counted)
    race = SuccessiveHalving(make().trainings, epochs=0)
    for step in range(race.num_steps):
        race.run_step(step)
    assert [network is training.network for network, training in zip(measured, race.trainings, strict=True)] == [
        True
    ] * 3
    assert race.winner() == min(race.rounds[0], key=lambda index: race.rounds[0][index].loss)


def test_a_single_network_needs_no_race():
    race = SuccessiveHalving(make().trainings[:1], epochs=2)
    assert race.num_steps == 0
    assert race.winner() == 0


def test_a_network_that_diverges_leaves_the_race():
    race = make()
    metrics = [race.run_step(0)]
    assert 1 in race.alive
    with torch.no_grad():
        next(race.trainings[1].network.parameters()).fill_(float("nan"))
    metrics += [race.run_step(step) for step in range(1, race.num_steps)]
    assert race.winner() != 1
    assert "expected a finite loss, got nan" in str(metrics)
    assert 1 not in race.rounds[1]
    again = make()
    again.load_state(race.state())
    assert again.failed == race.failed


def test_a_race_in_which_all_diverge_is_an_error():
    race = make()
    race.run_step(0)
    for training in race.trainings:
        for weight in training.network.parameters():
            weight.data.fill_(float("nan"))
    for step in range(1, race.num_steps - 1):
        race.run_step(step)
    with pytest.raises(TrainingError, match="all networks of the last round diverged"):
        race.run_step(race.num_steps - 1)


def test_the_smaller_loss_is_ahead_and_of_equal_ones_the_larger_accuracy(monkeypatch):
    from nasengine.evaluation import Measurement, successive_halving

    race = make()
    found = iter([Measurement(0.5, 1.0), Measurement(0.4, 0.9), Measurement(0.6, 1.1)])
    last = iter([Measurement(0.5, 0.7), Measurement(0.6, 0.7)])
    for training in race.trainings:
        monkeypatch.setattr(training, "run_step", lambda step: {})
    monkeypatch.setattr(successive_halving, "measure", lambda *_: next(found))
    race.run_step(0)
    assert race.alive == [0, 1]
    monkeypatch.setattr(successive_halving, "measure", lambda *_: next(last))
    for step in range(1, race.num_steps):
        race.run_step(step)
    assert race.winner() == 1
    assert race.last_measurements() == {0: Measurement(0.5, 0.7), 1: Measurement(0.6, 0.7), 2: Measurement(0.6, 1.1)}
