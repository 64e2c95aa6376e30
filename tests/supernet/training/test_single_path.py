"""Single-path training and batch norms that fit one path."""

import copy
import random

import torch

from nasengine.data import evaluation_batches
from nasengine.evaluation import SharedWeightsEvaluator
from nasengine.protocols import TrainingRecipe
from nasengine.supernet.training import SinglePathTraining, kept_statistics, recalibrate

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
