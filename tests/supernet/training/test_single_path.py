"""Single-path training and batch norms that fit one path."""

import copy
import math
import random
from dataclasses import replace

import pytest
import torch

from nasengine.data import Augmentation, evaluation_batches
from nasengine.errors import ConfigError
from nasengine.evaluation import SharedWeightsEvaluator
from nasengine.protocols import TrainingRecipe
from nasengine.supernet import Supernet
from nasengine.supernet.training import SinglePathTraining, kept_statistics, recalibrate
from search_spaces.nasbench_macro import NASBENCH_MACRO

RECIPE = TrainingRecipe(epochs=6, batch_size=16, learning_rate=0.1)


def test_training_helps_paths_and_resumes_bit_for_bit(supernet, dataset, space):
    training = SinglePathTraining(supernet, dataset, RECIPE, seed=0)
    losses = [training.run_step(step)["loss"] for step in range(4)]
    assert losses[-1] < losses[0]
    state = copy.deepcopy(training.state())
    training.run_step(4)
    expected = copy.deepcopy(training.state())
    other = SinglePathTraining(copy.deepcopy(supernet), dataset, RECIPE, seed=0)
    other.load_state(state)
    other.run_step(4)
    assert all(torch.equal(other.state().tensors[name], expected.tensors[name]) for name in expected.tensors)


def test_recalibrated_statistics_are_the_average_over_batches(supernet, dataset, space):
    architecture = space.sample(random.Random(0))
    feed = [images for images, _ in evaluation_batches(dataset.train, dataset, 16)]
    recalibrate(supernet, lambda batch: supernet(batch, architecture), feed)
    stem = supernet.nodes["stem/norm"]
    values = [supernet.nodes["stem/conv"](images).mean((0, 2, 3)) for images in feed]
    torch.testing.assert_close(stem.running_mean, torch.stack(values).mean(0), rtol=1e-4, atol=1e-5)
    assert stem.momentum == 0.1


def test_kept_statistics_are_kept(supernet, dataset, space):
    images, _ = next(evaluation_batches(dataset.train, dataset, 16))
    before = copy.deepcopy(supernet.state_dict())
    supernet.eval()
    with kept_statistics(supernet), torch.no_grad():
        assert supernet.training
        supernet(images, space.sample(random.Random(0)))
    assert not supernet.training
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())


def test_paths_are_measured_the_same_in_any_order(supernet, dataset, space):
    evaluate = SharedWeightsEvaluator(supernet, dataset, seed=0)
    first, second = (space.sample(random.Random(seed)) for seed in (0, 1))
    value = evaluate(first)
    evaluate(second)
    assert evaluate(first) == value


def test_paths_are_measured_on_as_many_images_as_asked_for(supernet, dataset, space):
    evaluate = SharedWeightsEvaluator(supernet, dataset, seed=0, max_images=7)
    metrics = evaluate(space.sample(random.Random(0))).metrics
    assert metrics["accuracy"] * 7 == pytest.approx(round(metrics["accuracy"] * 7))
    assert math.isfinite(metrics["loss"])
    again = SharedWeightsEvaluator(supernet, dataset, seed=0, max_images=7)
    assert again(space.sample(random.Random(0))).metrics == metrics
    images = [SharedWeightsEvaluator(supernet, dataset, seed=s, max_images=7).dataset.validation for s in (0, 1)]
    assert not torch.equal(images[0].images, images[1].images)


def test_the_first_epochs_may_see_images_of_half_the_side(config, dataset):
    sides, supernet = [], Supernet(NASBENCH_MACRO, config)
    supernet.nodes["stem/conv"].register_forward_hook(lambda _module, inputs, _output: sides.append(inputs[0].shape[2]))
    shifted = replace(dataset, augmentation=Augmentation(crop_padding=2))
    training = SinglePathTraining(supernet, shifted, replace(RECIPE, half_size_epochs=2), seed=0)
    seen = []
    for step in range(3):
        training.run_step(step)
        seen.append(set(sides))
        sides.clear()
    assert seen == [{4}, {4}, {8}]
    assert training._half_size.augmentation.crop_padding == 1


def test_zeros_of_a_fixed_size_take_no_smaller_images(supernet, dataset):
    with pytest.raises(
        ConfigError, match="expected a space without zeros, whose size is fixed, got nasbench201 with 2"
    ):
        SinglePathTraining(supernet, dataset, replace(RECIPE, half_size_epochs=2), seed=0)
