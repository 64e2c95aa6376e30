"""The objective against its formula, and what it leaves alone."""

import numpy
import pytest
import torch
from torch import nn

from nasengine.errors import ConfigError
from nasengine.evaluation.distillation import distillation


def softmax(values, temperature):
    raised = numpy.exp(values / temperature - (values / temperature).max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


@pytest.mark.parametrize(("weight", "temperature"), [(0.0, 1.0), (0.9, 2.0), (1.0, 4.0)])
def test_the_mixture_is_that_of_the_paper(weight, temperature):
    rng = numpy.random.default_rng(0)
    wanted, found, labels = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), numpy.array([0, 2, 1, 1, 0])
    teacher = nn.Module()
    teacher.forward = lambda images: torch.tensor(wanted)
    soft, mine = softmax(wanted, temperature), softmax(found, temperature)
    divergence = (soft * (numpy.log(soft) - numpy.log(mine))).sum(1).mean()
    entropy = -numpy.log(softmax(found, 1.0)[numpy.arange(5), labels]).mean()
    expected = (1 - weight) * entropy + weight * temperature**2 * divergence
    objective = distillation(teacher, weight, temperature)
    value = objective(torch.zeros(5, 1), torch.tensor(found), torch.from_numpy(labels))
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_the_teacher_is_left_alone():
    teacher = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    student = nn.Linear(2, 3)
    images = torch.randn(6, 2)
    distillation(teacher, 0.5)(images, student(images), torch.zeros(6, dtype=torch.long)).backward()
    assert not teacher.training
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(weight.grad is None for weight in teacher.parameters())
    assert student.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("weight", "temperature"), [(-0.1, 1.0), (1.1, 1.0), (0.5, 0.0), (float("nan"), 1.0)])
def test_settings_that_cannot_be(weight, temperature):
    with pytest.raises(ConfigError, match="expected a weight from 0 to 1 and a temperature above 0"):
        distillation(nn.Identity(), weight, temperature)
