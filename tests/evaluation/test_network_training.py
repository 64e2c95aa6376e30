"""Training from scratch."""

import copy
import random

import pytest
import torch

from nasengine.data.digits import load
from nasengine.evaluation import NetworkTraining, accuracy
from nasengine.network import GraphNetwork
from nasengine.protocols import NetworkConfig, TrainingRecipe
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201
from search_spaces.vision_transformer import VISION_TRANSFORMER


def test_digits_are_learned_and_training_resumes_bit_for_bit():
    digits = load()
    graph = NASBENCH201.to_graph(
        NASBENCH201.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"),
        NetworkConfig(10, (1, 8, 8), 8, 1),
    )
    recipe = TrainingRecipe(epochs=8, batch_size=64, learning_rate=0.1)
    training = NetworkTraining("winner", GraphNetwork(graph, 0), digits, recipe, seed=0)
    for step in range(6):
        training.run_step(step)
    state = copy.deepcopy(training.state())
    metrics = [training.run_step(step) for step in (6, 7)]
    assert metrics[-1]["train_accuracy"] > 0.98
    assert accuracy(training.network, digits.test, digits) > 0.93
    other = NetworkTraining("winner", GraphNetwork(graph, 5), digits, recipe, seed=0)
    other.load_state(state)
    assert [other.run_step(step) for step in (6, 7)] == metrics
    expected = training.state().tensors
    assert all(torch.equal(value, expected[name]) for name, value in other.state().tensors.items())


def test_training_by_adamw_resumes_bit_for_bit():
    few = load().reduced(200, 60, None, 0)
    sizes = VISION_TRANSFORMER.parse("depth=2,width=16,heads=2,ratio=2,patch=4")
    graph = VISION_TRANSFORMER.to_graph(sizes, NetworkConfig(10, (1, 8, 8)))
    recipe = TrainingRecipe(epochs=4, batch_size=50, learning_rate=2e-3, optimizer="adamw", warmup_epochs=1)
    whole = NetworkTraining("network", GraphNetwork(graph, 0), few, recipe, seed=0)
    losses = [whole.run_step(step)["loss"] for step in range(2)]
    state = copy.deepcopy(whole.state())
    losses += [whole.run_step(step)["loss"] for step in (2, 3)]
    assert losses[-1] < losses[0]
    other = NetworkTraining("network", GraphNetwork(graph, 5), few, recipe, seed=0)
    other.load_state(state)
    assert [other.run_step(step)["loss"] for step in (2, 3)] == losses[2:]
    expected = whole.state().tensors
    assert all(torch.equal(value, expected[name]) for name, value in other.state().tensors.items())


def test_the_full_recipe_runs():
    """Auxiliary classifier, drop path and cutout together, on images large enough for them."""
    from nasengine.data import Augmentation, Split
    from nasengine.data.dataset import make_dataset

    labels = torch.arange(24) % 3
    images = torch.randint(0, 255, (24, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    augmentation = Augmentation(crop_padding=4, flip=True)
    dataset = make_dataset("noise", Split(images, labels), None, ("a", "b", "c"), augmentation=augmentation)
    config = NetworkConfig(3, (3, 32, 32), 4, 3, auxiliary_head=True)
    network = GraphNetwork(DARTS.to_graph(DARTS.sample(random.Random(0)), config), 0)
    recipe = TrainingRecipe(epochs=2, batch_size=16, cutout=0.5, drop_path=0.2, auxiliary_weight=0.4)
    training = NetworkTraining("winner", network, dataset, recipe, seed=0)
    assert training._augmentation.cutout == 16
    before = copy.deepcopy(network.state_dict())
    for step in range(2):
        assert training.run_step(step)["loss"] > 0
    moved = [name for name, value in network.named_parameters() if not torch.equal(before[name], value)]
    assert any("auxiliary" in name for name in moved)


def first_epoch(**options) -> tuple[float, GraphNetwork]:
    """Training loss of one epoch on digits."""
    cell = NASBENCH201.parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|")
    network = GraphNetwork(NASBENCH201.to_graph(cell, NetworkConfig(10, (1, 8, 8), 4, 1)), 0)
    recipe = TrainingRecipe(epochs=1, batch_size=128, learning_rate=0.1, **options)
    return NetworkTraining("n", network, load(), recipe, seed=0).run_step(0)["loss"], network


def test_half_precision_trains_float32_weights():
    (exact, _), (half, network) = first_epoch(), first_epoch(precision="bfloat16")
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    assert half != exact
    assert half == pytest.approx(exact, rel=0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler warns of the type checks that tests put around functions
def test_compiled_networks_train_as_others_do():
    assert first_epoch(compiled=True)[0] == pytest.approx(first_epoch()[0], rel=1e-3)
