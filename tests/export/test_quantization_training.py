"""Training that knows of int8: it rounds as the file does, and mends a network that eight bits break."""

import numpy
import pytest
import torch

from export.calibration import calibration_images, validation_images
from export.onnx import export_onnx
from export.quantization import QuantizationSettings, quantize_int8
from export.quantization_training import (
    RoundedActivation,
    RoundedNetwork,
    RoundedWeight,
    int8_recipe,
    int8_training,
    plain_network,
    train_for_int8,
)
from nasengine.data.digits import load
from nasengine.errors import ConfigError
from nasengine.evaluation import NetworkTraining, accuracy
from nasengine.graph import GraphBuilder
from nasengine.network import GraphNetwork
from nasengine.protocols import TrainingRecipe

RECIPE = TrainingRecipe(epochs=6, learning_rate=0.05)
MIN_MAX = QuantizationSettings(methods=("min-max",))


@pytest.fixture(scope="module")
def digits():
    return load()


@pytest.fixture(scope="module")
def broken(digits):
    """A trained network with one channel a thousand times larger than the others, which the next layer undoes."""
    builder = GraphBuilder()
    value = builder.add("conv", builder.input((1, 8, 8)), name="first", channels=16, kernel=3, padding=1)
    value = builder.add("relu", builder.add("batch_norm", value, name="norm"), name="relu")
    value = builder.add("conv", value, name="second", channels=16, kernel=3, stride=2)
    value = builder.add("relu", builder.add("batch_norm", value, name="norm2"), name="relu2")
    value = builder.add("linear", builder.add("flatten", value, name="flat"), name="head", features=10)
    network = GraphNetwork(builder.build(value), seed=0)
    task = NetworkTraining("small", network, digits, RECIPE, seed=0)
    for epoch in range(task.num_steps):
        task.run_step(epoch)
    with torch.no_grad():
        network.nodes["norm"].weight[3] *= 1000
        network.nodes["norm"].bias[3] *= 1000
        network.nodes["second"].weight[:, 3] /= 1000
    return network.eval()


def test_training_mends_what_eight_bits_break(broken, digits, tmp_path):
    images = {"calibration": calibration_images(digits), "validation": validation_images(digits)}
    before = {name: value.clone() for name, value in broken.state_dict().items()}
    mended = train_for_int8(broken, digits, int8_recipe(RECIPE, 4), seed=0)
    reports = []
    for name, network in (("broken", broken), ("mended", mended)):
        export_onnx(network, images["validation"].images[:20], tmp_path / f"{name}.onnx", {})
        path = tmp_path / f"{name}.int8.onnx"
        reports.append(quantize_int8(tmp_path / f"{name}.onnx", path, **images, settings=MIN_MAX))
    assert reports[0].float_accuracy > 0.95
    assert reports[0].accuracy < 0.5
    assert reports[1].accuracy > 0.9
    assert reports[1].drop < 0.05
    assert mended.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in broken.state_dict().items())


def test_rounded_network_answers_as_the_int8_file_will(broken, digits):
    """One rounds a thousand times too coarsely, so both are wrong alike: that is what training has to see."""
    rounded = RoundedNetwork(GraphNetwork(broken.graph), 8)
    state = broken.state_dict()
    own = rounded.network.state_dict()
    rounded.network.load_state_dict({name: state[name.replace(".parametrizations.weight.original", ".weight")]
                                     for name in own})  # fmt: skip
    with torch.no_grad():
        for module in rounded.ranges.values():
            module.train()
        rounded.network.eval()
        rounded(calibration_images(digits))
    rounded.eval()
    assert accuracy(rounded, digits.validation, digits) < 0.5
    assert accuracy(rounded.plain(), digits.validation, digits) > 0.95


def test_weights_are_rounded_by_output_channel_and_gradients_pass():
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 10, 0.1, 0]).view(
        4, 1, 1, 1
    )
    weight.requires_grad_()
    found = RoundedWeight(8)(weight)
    scale = weight.detach().abs().amax((1, 2, 3), keepdim=True) / 127
    expected = torch.where(scale > 0, (weight.detach() / scale.clamp_min(1e-30)).round() * scale, 0)
    numpy.testing.assert_allclose(found.detach().numpy(), expected.numpy(), rtol=1e-5, atol=1e-7)
    found.sum().backward()
    assert (weight.grad == 1).all()


def test_activations_are_rounded_to_levels_of_a_moving_range():
    module = RoundedActivation(4)
    first, second = torch.linspace(-1, 2, 50), torch.linspace(0, 12, 50)
    module(first)
    assert (float(module.low), float(module.high)) == (-1, 2)
    found = module(second)
    assert float(module.low) == pytest.approx(-0.9)  # a tenth of the way to 0
    assert float(module.high) == pytest.approx(3.0)  # and to 12
    assert len(found.unique()) <= 16
    assert float(found.max()) == pytest.approx(3.0, abs=0.13)
    module.eval()
    assert torch.equal(module(torch.tensor([0.0])), torch.tensor([0.0]))
    assert float(module.high) == pytest.approx(3.0)


def test_what_runtimes_compute_together_is_rounded_once(broken):
    names = [broken.graph.names[int(node)] for node in RoundedNetwork(GraphNetwork(broken.graph), 8).ranges]
    assert names == [broken.graph.names[0], "relu", "relu2"]


def test_training_can_be_interrupted(broken, digits):
    small = digits.reduced(120, 60, None, 0)
    recipe = int8_recipe(RECIPE, 2)
    whole = int8_training(broken, small, recipe, seed=1)
    whole.run_step(0)
    state = whole.state()
    state.tensors = {name: value.clone() for name, value in state.tensors.items()}
    whole.run_step(1)
    resumed = int8_training(broken, small, recipe, seed=1)
    resumed.load_state(state)
    resumed.run_step(1)
    first, second = plain_network(whole).state_dict(), plain_network(resumed).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_other_numbers_of_bits_are_refused(broken, digits):
    with pytest.raises(ConfigError, match="int8 training, bits: expected from 2 to 8, got 16"):
        train_for_int8(broken, digits, RECIPE, seed=0, bits=16)
