"""Training of elastic supernets: phases, what a step trains, and going on after an interruption."""

import copy
import random

import pytest
import torch
import torch.nn.functional as F

from nasengine.data import evaluation_batches
from nasengine.errors import ConfigError
from nasengine.evaluation import SharedWeightsEvaluator
from nasengine.protocols import NetworkConfig, TrainingRecipe
from nasengine.supernet.elastic import ElasticSupernet, ElasticTraining, Phase, shrinking
from nasengine.supernet.elastic.phases import choices_at

RECIPE = TrainingRecipe(epochs=4, batch_size=40, learning_rate=0.1)
CHOICES = ("resolution", "kernel", "depth", "expansion")
LAST = (Phase(2, CHOICES[:3]), Phase(2, CHOICES))


@pytest.fixture
def fresh(elastic_space, dataset):
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, channels=16)
    return ElasticSupernet(elastic_space, config, seed=0)


@pytest.mark.parametrize("phases", [(Phase(4, CHOICES),), LAST], ids=["sandwich", "shrinking"])
def test_training_helps_all_subnets_and_resumes_bit_for_bit(fresh, dataset, phases):
    training = ElasticTraining(fresh, dataset, RECIPE, seed=0, phases=phases)
    metrics = [training.run_step(step) for step in range(2)]
    assert metrics[1]["largest_loss"] < metrics[0]["largest_loss"]
    state = copy.deepcopy(training.state())
    for step in (2, 3):
        training.run_step(step)
    other = ElasticTraining(copy.deepcopy(fresh), dataset, RECIPE, seed=0, phases=phases)
    other.load_state(state)
    for step in (2, 3):
        other.run_step(step)
    expected, found = training.state().tensors, other.state().tensors
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_trained_subnets_beat_chance_after_their_statistics_were_measured(fresh, dataset, elastic_space):
    recipe = TrainingRecipe(epochs=5, batch_size=16, learning_rate=0.1)
    training = ElasticTraining(fresh, dataset, recipe, seed=0)
    for step in range(5):
        training.run_step(step)
    evaluate = SharedWeightsEvaluator(fresh, dataset, seed=0)
    for subnet in (elastic_space.largest(), elastic_space.smallest(), elastic_space.sample(random.Random(5))):
        assert evaluate(subnet).metrics["accuracy"] > 0.6  # one of four kinds of stripes


def test_a_step_descends_the_mean_of_what_its_subnets_lose(fresh, dataset, elastic_space):
    """The largest learns from the labels, the others from the largest; one plain gradient step is worked out here."""
    recipe = TrainingRecipe(epochs=1, batch_size=1000, learning_rate=0.1, momentum=0.0, weight_decay=0.0,
                            gradient_clip=None)  # fmt: skip
    by_hand = copy.deepcopy(fresh).train()
    ElasticTraining(fresh, dataset, recipe, seed=0, num_random=0, distillation=0.75).run_step(0)
    images, labels = next(evaluation_batches(dataset.train, dataset, 1000))
    largest, smallest = by_hand(images, elastic_space.largest()), by_hand(images, elastic_space.smallest())
    soft = -(largest.detach().softmax(1) * smallest.log_softmax(1)).sum(1).mean()  # and what has no gradient
    loss = F.cross_entropy(largest, labels) + 0.25 * F.cross_entropy(smallest, labels) + 0.75 * soft
    (loss / 2).backward()
    for name, weight in by_hand.named_parameters():
        expected = weight if weight.grad is None else weight - 0.1 * weight.grad
        torch.testing.assert_close(fresh.get_parameter(name), expected, rtol=1e-3, atol=1e-5)


def test_phases_shrink_one_choice_after_the_other():
    phases = shrinking(15, CHOICES)
    assert [phase.epochs for phase in phases] == [5, 2, 3, 2, 3]
    assert [phase.choices for phase in phases] == [CHOICES[:count] for count in range(5)]
    assert choices_at(phases, 4) == ((), ())
    assert choices_at(phases, 5) == (CHOICES[:1], CHOICES[:1])
    assert choices_at(phases, 6) == (CHOICES[:1], ())
    assert choices_at(phases, 12) == (CHOICES, CHOICES[3:])
    assert [phase.epochs for phase in shrinking(5, CHOICES)] == [1] * 5


def test_channels_are_sorted_when_widths_become_elastic(fresh, dataset, monkeypatch):
    training = ElasticTraining(fresh, dataset, RECIPE, seed=0, phases=LAST)
    training.run_step(0)
    before = fresh.nodes["stages/1/blocks/0/projection/conv"].weight.detach().clone()
    monkeypatch.setattr(training, "recipe", TrainingRecipe(epochs=4, batch_size=40, learning_rate=1e-9))
    training.run_step(2)
    after = fresh.nodes["stages/1/blocks/0/projection/conv"].weight.detach()
    order = before.abs().sum((0, 2, 3)).argsort(descending=True, stable=True)
    torch.testing.assert_close(after, before[:, order], rtol=1e-5, atol=1e-6)


def test_what_makes_no_sense_is_refused(fresh, dataset):
    with pytest.raises(ConfigError, match="expected phases of 4 epochs together, got 3"):
        ElasticTraining(fresh, dataset, RECIPE, seed=0, phases=(Phase(3, CHOICES),))
    with pytest.raises(ConfigError, match="expected at least 5 epochs, one for each phase, got 4"):
        shrinking(4, CHOICES)
    with pytest.raises(ConfigError, match="weight of distillation from 0 to 1, got 2 and 1.5"):
        ElasticTraining(fresh, dataset, RECIPE, seed=0, distillation=1.5)
