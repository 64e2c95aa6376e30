"""Distributions over mixtures, against their definitions."""

import itertools
import math

import pytest
import torch

from nasengine.errors import ConfigError
from nasengine.protocols import NetworkConfig
from nasengine.supernet import ArchitectureWeights, Supernet
from nasengine.supernet.relaxation import BinaryGates, Dirichlet, GumbelSoftmax, Softmax
from nasengine.supernet.training import ARCHITECTURE_TRAININGS, ArchitectureTraining
from search_spaces.nasbench201 import NASBENCH201

ALPHA = torch.tensor([[0.5, -1.0, 1.5, 9.0], [0.0, 0.0, 0.0, 9.0]])
VALID = torch.tensor([[True, True, True, False], [True, True, False, False]])
ALL = (Softmax(), Softmax(beta=50.0), GumbelSoftmax(), Dirichlet(), BinaryGates())


def draw(relaxation, count=4000, progress=0.0):
    """Many independent draws at once: every edge is one."""
    generator = torch.Generator().manual_seed(0)
    rows = relaxation.sample(ALPHA.repeat(count, 1), VALID.repeat(count, 1), progress, generator)
    return rows.reshape(count, 2, 4)


@pytest.mark.parametrize("relaxation", ALL, ids=repr)
def test_weights_sum_to_one_over_the_candidates_that_are_allowed(relaxation):
    for weights in (relaxation.mean(ALPHA, VALID), *draw(relaxation, 20, progress=0.5)):
        torch.testing.assert_close(weights.sum(1), torch.ones(2))
        assert (weights[~VALID] == 0).all()
        assert (weights >= 0).all()


def test_softmax_draws_nothing():
    assert torch.equal(draw(Softmax(), 1)[0], Softmax().mean(ALPHA, VALID))


def test_gumbel_samples_pick_each_operation_as_often_as_the_softmax_says():
    samples = draw(GumbelSoftmax(), progress=1.0)
    shares = torch.nn.functional.one_hot(samples[:, 0, :3].argmax(1), 3).float().mean(0)
    torch.testing.assert_close(shares, ALPHA[0, :3].softmax(0), atol=0.03, rtol=0)


def test_temperature_falls_linearly():
    falling = GumbelSoftmax(1.0, 0.1)
    sharpness = [draw(falling, 500, progress)[:, 0].max(1).values.mean() for progress in (0.0, 0.5, 1.0)]
    assert sharpness[0] < sharpness[1] < sharpness[2]
    assert sharpness[2] > 0.95


def test_dirichlet_samples_have_the_mean_of_their_concentrations():
    concentration = torch.nn.functional.elu(ALPHA[0, :3]) + 1
    torch.testing.assert_close(Dirichlet().mean(ALPHA, VALID)[0, :3], concentration / concentration.sum())
    torch.testing.assert_close(draw(Dirichlet()).mean(0), Dirichlet().mean(ALPHA, VALID), atol=0.03, rtol=0)


@pytest.mark.parametrize("relaxation", [GumbelSoftmax(), Dirichlet()], ids=repr)
def test_gradients_go_through_the_sample(relaxation):
    """The mean of pathwise gradients of a linear function, against finite differences of its mean."""
    direction = torch.tensor([1.0, -2.0, 0.5, 0.0])
    alpha = ALPHA[:1].clone().requires_grad_()
    count = 100_000
    valid = VALID[:1].expand(count, 4)

    def mean(values: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return (relaxation.sample(values.expand(count, 4), valid, 0.0, generator) @ direction).mean()

    (found,) = torch.autograd.grad(mean(alpha), alpha)
    step = 0.2
    for place in range(3):
        shift = torch.zeros(1, 4)
        shift[0, place] = step
        slope = float(mean(ALPHA[:1] + shift) - mean(ALPHA[:1] - shift)) / (2 * step)
        assert float(found[0, place]) == pytest.approx(slope, abs=0.03)


def test_penalties():
    rows = ALPHA.masked_fill(~VALID, -torch.inf)
    expected = 50 * 0.5 * rows.exp().sum(1).log().mean()
    torch.testing.assert_close(Softmax(beta=50.0).penalty(ALPHA, VALID, 0.5), expected)
    assert float(Softmax().penalty(ALPHA, VALID, 0.5)) == float(GumbelSoftmax().penalty(ALPHA, VALID, 0.5)) == 0.0
    assert float(Dirichlet().penalty(torch.zeros(2, 4), VALID, 1.0)) == pytest.approx(0.0, abs=1e-6)
    two = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    # KL of Dirichlet(2, 1, 1) from Dirichlet(1, 1, 1), in closed form: ln 3 + digamma(2) - digamma(4).
    divergence = math.log(3) + float(torch.digamma(torch.tensor(2.0)) - torch.digamma(torch.tensor(4.0)))
    assert float(Dirichlet(1.0).penalty(two, VALID, 0.0)) == pytest.approx(divergence, rel=1e-4)


def test_architecture_weights_of_every_training_can_be_sampled():
    for architecture in ARCHITECTURE_TRAININGS.values():
        alphas = ArchitectureWeights(NASBENCH201.topology, relaxation=architecture.relaxation)
        weights = alphas.sample(0.3, torch.Generator().manual_seed(0))["cell"]
        torch.testing.assert_close(weights.sum(1), torch.ones(6))
        assert torch.isfinite(alphas.penalty(0.3))


def test_the_second_order_needs_a_mixture_that_stays_the_same():
    with pytest.raises(ConfigError, match="expected the softmax relaxation, got Dirichlet"):
        ArchitectureTraining(order=2, relaxation=Dirichlet())


def test_gates_open_each_path_as_often_as_the_method_says():
    """Two candidates drawn without replacement, then one of the two: enumerated over all ordered pairs."""
    chances = ALPHA[0, :3].softmax(0)
    expected = torch.zeros(3)
    for first, second in itertools.permutations(range(3), 2):
        drawn = chances[first] * chances[second] / (1 - chances[first])
        pair = chances[[first, second]] / chances[[first, second]].sum()
        expected[first] += drawn * pair[0]
        expected[second] += drawn * pair[1]
    samples = draw(BinaryGates())
    torch.testing.assert_close((samples[:, 0, :3] > 0.5).float().mean(0), expected, atol=0.03, rtol=0)
    assert ((samples > 0).sum(2) == 2).all()
    assert ((samples > 0.5).sum(2) == 1).all()


def test_gradients_of_gates_are_those_of_the_softmax_over_the_two():
    alpha = torch.tensor([[0.3, -0.2, 0.7]], requires_grad=True)
    weights = BinaryGates().sample(alpha, torch.ones(1, 3, dtype=torch.bool), 0.0, torch.Generator().manual_seed(1))
    outputs = torch.tensor([[2.0, -1.0, 5.0]])
    (weights * outputs).sum().backward()
    pair = (weights[0] > 0).nonzero()[:, 0]
    chances = alpha.detach()[0, pair].softmax(0)
    mean = (chances * outputs[0, pair]).sum()
    expected = torch.zeros(3).index_copy(0, pair, chances * (outputs[0, pair] - mean))  # derivative of a softmax
    torch.testing.assert_close(alpha.grad[0], expected)


def test_sparse_mixtures_compute_what_they_name_and_give_the_same():
    alphas = ArchitectureWeights(NASBENCH201.topology, seed=1, relaxation=BinaryGates())
    supernet = Supernet(NASBENCH201, NetworkConfig(4, (3, 8, 8), 4, 1, searching=True), seed=0)
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for detach, count in ((True, 1), (False, 2)):
        found = alphas.sampled_mixture(0.0, torch.Generator().manual_seed(2), detach=detach)
        assert {len(picks) for picks in found.active.values()} == {count}
        whole = alphas.mixture(detach=detach, weights=found.weights)
        torch.testing.assert_close(supernet(images, found), supernet(images, whole), atol=1e-5, rtol=1e-5)
