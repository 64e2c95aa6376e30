"""Differentiable training: gradients against formulas, state, guards."""

import copy

import pytest
import torch
import torch.nn.functional as F

from nasengine.data import evaluation_batches
from nasengine.errors import TrainingError
from nasengine.optimization import make_sgd
from nasengine.protocols import TrainingRecipe
from nasengine.supernet.training import ArchitectureTraining, DifferentiableTraining, unrolled

RECIPE = TrainingRecipe(epochs=3, batch_size=32, learning_rate=0.05, final_learning_rate=0.001)


def make(supernet, alphas, dataset, order=1, recipe=RECIPE) -> DifferentiableTraining:
    settings = ArchitectureTraining(order=order)
    return DifferentiableTraining(supernet, alphas, dataset, recipe, architecture=settings, seed=0)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_training_lowers_the_loss_and_moves_what_it_should(supernet, alphas, dataset, order):
    before = copy.deepcopy(alphas.state_dict())
    training = make(supernet, alphas, dataset, order)
    losses = [training.run_step(step)["loss"] for step in range(training.num_steps)]
    assert losses[-1] < losses[0] - 0.1
    moved = not torch.equal(before["alpha.cell"], alphas.state_dict()["alpha.cell"])
    assert moved == (order > 0)


@pytest.mark.parametrize("order", [0, 1])
def test_steps_tell_the_architecture_weights_where_they_learn(supernet, alphas, dataset, order):
    metrics = make(supernet, alphas, dataset, order).run_step(0)
    assert ("weights" in metrics) == (order > 0)
    for kind, rows in metrics.get("weights", {}).items():
        torch.testing.assert_close(torch.tensor(rows), alphas.mean()[kind], rtol=0, atol=1e-6)


def test_first_order_step_is_adam_on_the_validation_gradient(supernet, alphas, dataset):
    """The first step of Adam moves every value by the learning rate against the sign of its gradient."""
    training = make(supernet, alphas, dataset)
    batch = next(evaluation_batches(dataset.train, dataset, 32))
    held_out = next(evaluation_batches(dataset.validation, dataset, 32))
    before = alphas.alpha["cell"].detach().clone()
    twin = copy.deepcopy(supernet)
    loss = F.cross_entropy(twin(held_out[0], alphas.mixture()), held_out[1])
    (gradient,) = torch.autograd.grad(loss, list(alphas.parameters()))
    training._architecture_step(lambda detach: alphas.mixture(detach=detach), batch, held_out, 1.0, "test")
    decayed = gradient + 1e-3 * before
    expected = before - 3e-4 * decayed / (decayed.abs() + 1e-8)
    torch.testing.assert_close(alphas.alpha["cell"].detach(), expected, rtol=1e-3, atol=1e-7)


def test_second_order_gradient_is_the_derivative_through_a_step(supernet, alphas, dataset, monkeypatch):
    """Against automatic differentiation through the unrolled step, momentum and weight decay included.

    The paper's radius of 0.01 crosses kinks of ReLUs on a network this small, so that the formula is tested with less.
    """
    monkeypatch.setattr(unrolled, "FINITE_DIFFERENCE_RADIUS", 1e-6)
    supernet, alphas = supernet.double(), alphas.double()
    (x, y), (u, v) = (
        (images.double(), labels)
        for images, labels in (
            next(evaluation_batches(dataset.train, dataset, 16)),
            next(evaluation_batches(dataset.validation, dataset, 16)),
        )
    )
    optimizer = make_sgd(supernet.parameters(), RECIPE)
    F.cross_entropy(supernet(x, alphas.mixture(detach=True)), y).backward()
    optimizer.step()
    state = copy.deepcopy(supernet.state_dict())

    weights = dict(supernet.named_parameters())
    loss = F.cross_entropy(torch.func.functional_call(supernet, weights, (x, alphas.mixture())), y)
    gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    stepped = {
        name: weight - 0.05 * (gradient + 3e-4 * weight + 0.9 * optimizer.state[weight]["momentum_buffer"])
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }
    after = F.cross_entropy(torch.func.functional_call(supernet, stepped, (u, alphas.mixture())), v)
    exact = torch.autograd.grad(after, list(alphas.parameters()))
    supernet.load_state_dict(state)
    value, ours = unrolled.unrolled_gradients(
        supernet, alphas, lambda detach: alphas.mixture(detach=detach), (x, y), (u, v), optimizer
    )
    assert all(torch.equal(state[name], value) for name, value in supernet.state_dict().items())
    assert value.item() == pytest.approx(after.item(), rel=1e-9)
    torch.testing.assert_close(ours[0], exact[0], rtol=1e-3, atol=1e-6)
    fixed = {name: weight.detach() for name, weight in stepped.items()}
    direct = F.cross_entropy(torch.func.functional_call(supernet, fixed, (u, alphas.mixture())), v)
    (first_order,) = torch.autograd.grad(direct, list(alphas.parameters()))
    assert not torch.allclose(ours[0], first_order, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_going_on_from_a_state_gives_the_same_bits(supernet, alphas, dataset, order):
    training = make(supernet, alphas, dataset, order)
    training.run_step(0)
    state = copy.deepcopy(training.state())
    training.run_step(1)
    expected = copy.deepcopy(training.state())
    other = make(copy.deepcopy(supernet), copy.deepcopy(alphas), dataset, order)
    other.load_state(state)
    other.run_step(1)
    found = other.state()
    assert found.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(found.tensors[name], expected.tensors[name]) for name in expected.tensors)


def test_divergence_stops_with_advice_and_finite_weights(supernet, alphas, dataset):
    recipe = TrainingRecipe(epochs=1, batch_size=16, learning_rate=1e30, gradient_clip=None)
    with pytest.raises(
        TrainingError, match=r"step \d+ of epoch 0: expected a finite .* learning rate 1e\+30.*with a tenth of that"
    ):
        make(supernet, alphas, dataset, 0, recipe).run_step(0)
